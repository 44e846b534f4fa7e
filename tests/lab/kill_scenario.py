"""Inside a throw-away world: SIGKILL a lab's supervisor at random moments, and look what is left.

`python kill_scenario.py SEED KILLS` prints a JSON row per kill: what was going on, who was killed, how
long after its beginning, and what was wrong afterwards ("" when nothing).
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from testbed.kernel import netns
from testbed.lab import registry
from testbed.lab.leftovers import marked
from tests.lab.fingerprint import fingerprint, left_over
from tests.lab.outer import TESTBED

NAME = "victim"
TOPOLOGY = """
name: victim
dns: {replicas: 0}
nodes: {n1: {}, n2: {}}
workloads: {web: {replicas: 2, port: 8080}, client: {}}
services: {web: {port: 80, targetPort: 8080, clusterIP: 10.96.0.20}}
"""
PHASES = ("up", "load", "down")
VICTIMS = {"init": "1", "supervisor": "2"}
"""PID in the lab's PID namespace: PID 1, and the supervisor proper."""
_LIMIT = Path("/proc/sys/user/max_net_namespaces")
_MOST_NAMESPACES = 60
_PATIENCE_S = 120.0
_DISMANTLED_S = 120.0
"""One worker of the kernel takes apart the namespaces of the whole machine, in turn: also other tests'."""
_DISMANTLING_S = 1.0
"""The kernel takes namespaces apart in the background; until then a count's own still count."""
_LOAD = ("--from", "client-0", "--to", "http://10.96.0.20", "--rate", "200", "--duration", "60s")


class Scenario:
    """One lab, killed again and again."""

    def __init__(self, seed: int, topology: Path) -> None:
        self._chance = random.Random(seed)
        self._topology = str(topology)
        self._before = fingerprint()
        began = time.monotonic()
        self._must("up", self._topology)
        self._span_s = {"up": time.monotonic() - began, "load": 2.0, "down": 0.3}
        self._must("down", NAME)

    def kill(self) -> dict[str, Any]:
        """One kill at a random moment; the row."""
        phase = self._chance.choice(PHASES)
        victim = self._chance.choice(sorted(VICTIMS))
        after_s = self._chance.uniform(0, self._span_s[phase])
        if phase != "up":
            self._must("up", self._topology)
        lines = {"up": (self._topology,), "load": (NAME, *_LOAD), "down": (NAME,)}
        with start(phase, *lines[phase]) as command:
            under_way = strike(command, victim, after_s)
            _, said = command.communicate(timeout=_PATIENCE_S)
        wrong = left_over(self._before)
        wrong += [f"`testbed {phase}` said: {said}"] if "Traceback" in said else []
        wrong += [f"ls shows {name}" for name in registry.names()]
        wrong += [f"{name} in the runtime folder" for name in os.listdir(registry.root())]
        row = {"phase": phase, "victim": victim, "after_s": after_s, "under_way": under_way}
        return {**row, "wrong": wrong}

    def finish(self) -> list[str]:
        """What is wrong after the last kill: a lab of that name has to come up, and go."""
        self._must("up", self._topology)
        self._must("down", NAME)
        return left_over(self._before)

    def _must(self, *arguments: str) -> None:
        with start(*arguments) as command:
            _, said = command.communicate(timeout=_PATIENCE_S)
        if command.returncode != 0:
            raise AssertionError(f"testbed {arguments[0]}: code {command.returncode}: {said}")


def start(*arguments: str) -> subprocess.Popen[str]:
    """A `testbed` command that runs."""
    return subprocess.Popen(
        [*TESTBED, *arguments, *(("--name", NAME) if arguments[0] == "up" else ())],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def strike(command: subprocess.Popen[str], victim: str, after_s: float) -> bool:
    """Kill the victim `after_s` after it is first seen (at once when the command has ended by then).

    Returns whether the command was still at it.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while not (seen := list(pids(victim))) and command.poll() is None:
        if time.monotonic() > deadline:
            raise AssertionError(f"no {victim} within {_PATIENCE_S:g} s")
    with contextlib.suppress(subprocess.TimeoutExpired):
        command.wait(after_s)
    under_way = command.poll() is None
    for pid in seen:
        with contextlib.suppress(ProcessLookupError):  # `down` was faster
            os.kill(pid, signal.SIGKILL)
    return under_way


def pids(victim: str) -> Iterator[int]:
    """The victim's number as this world counts."""
    for process in marked():
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            continue
        numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()
        if len(numbers) == 3 and numbers[-1] == VICTIMS[victim]:
            yield process.pid


def free_namespaces() -> int | None:
    """How many network namespaces this world may still make; None where it has no limit of its own.

    The kernel counts a namespace as long as anything, seen or not, keeps it alive.
    """
    if os.geteuid() != 0:
        return None
    _LIMIT.write_text(str(_MOST_NAMESPACES))
    held: list[int] = []
    try:
        while True:
            held.append(netns.create())
    except OSError:
        return len(held)
    finally:
        for fd in held:
            os.close(fd)


def main() -> None:
    """Kill, look, report."""
    seed, kills, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    topology = folder / "victim.yaml"
    topology.write_text(TOPOLOGY)
    free = free_namespaces()
    scenario = Scenario(seed, topology)
    rows = [scenario.kill() for _ in range(kills)]
    wrong = scenario.finish()
    deadline = time.monotonic() + _DISMANTLED_S
    while (now := free_namespaces()) != free and time.monotonic() < deadline:
        time.sleep(_DISMANTLING_S)
    if now != free:
        wrong.append(f"{free} network namespaces could be made before, {now} now")
    print(json.dumps({"kills": rows, "wrong": wrong}))


if __name__ == "__main__":
    main()
