"""`python -m bench.dns_race SERVICES REPEATS`, in namespaces of its own: what dnsperf says of each server."""

from __future__ import annotations

import itertools
import json
import math
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bench.dns_peers import ADDRESS, Peer, all_serving, ip_of, name_of, wait_for

CHANGES_PER_S = 50
CLIENT_CPU = 1
SHARE = 0.8
"""Of the rate at which the slowest is saturated: everybody's latency is measured there."""
_CLIENTS, _OUTSTANDING = 8, 100
_RUN_S = 1.0


@dataclass(frozen=True, slots=True)
class Seen:
    """Of one server in one repeat."""

    server: str
    made_of: str
    changing: bool
    rate_rps: float
    """At saturation."""
    lost: int
    denied: int
    """Answers that were none, though every name exists."""
    saturated_p99_us: float
    loaded_p99_us: float
    """At SHARE of what the slowest can do."""
    cpu_us: float
    """Of the server's time for an answer, at saturation."""
    peak_mb: float


@dataclass(frozen=True, slots=True)
class _Rate:
    """At saturation, as in `Seen`."""

    rate_rps: float
    lost: int
    denied: int


def race(services: int, repeats: int, folder: Path) -> Iterator[Seen]:
    """All servers in turns; who goes first changes. Still first, then while services change."""
    names = [f"{name_of(number)} A" for number in range(services)]
    random.Random(services).shuffle(names)
    questions = folder / "questions"
    questions.write_text("\n".join(names) + "\n")
    with all_serving(services, folder) as peers:
        for peer in peers:
            _dnsperf(peer, questions, "-n", "1")  # warm, and every name once
        for repeat, changing in itertools.product(range(repeats), (False, True)):
            at = repeat % len(peers)
            yield from _round((*peers[at:], *peers[:at]), services, changing, questions)


def _round(
    peers: tuple[Peer, ...], services: int, changing: bool, questions: Path
) -> Iterator[Seen]:
    rates: dict[str, _Rate] = {}
    cpu_us: dict[str, float] = {}
    for peer in peers:
        with _changes(peer, services if changing else 0):
            before_ns = _cpu_ns(peer.pid)
            rates[peer.name], answers = _saturated(peer, questions)
            cpu_us[peer.name] = (_cpu_ns(peer.pid) - before_ns) / max(answers, 1) / 1e3
    slowest = min(one.rate_rps for one in rates.values() if one.rate_rps)
    limit = str(int(SHARE * slowest))
    for peer in peers:
        with _changes(peer, services if changing else 0):
            saturated_us, _ = measured(peer, questions)
            loaded_us, _ = measured(peer, questions, "-Q", limit)
        rate = rates[peer.name]
        yield Seen(
            peer.name,
            peer.made_of,
            changing,
            rate.rate_rps,
            rate.lost,
            rate.denied,
            saturated_p99_us=saturated_us,
            loaded_p99_us=loaded_us,
            cpu_us=cpu_us[peer.name],
            peak_mb=_peak_mb(peer.pid),
        )


@contextmanager
def _changes(peer: Peer, services: int) -> Iterator[None]:
    """Services get other addresses, CHANGES_PER_S of them, until the block ends; all have arrived then."""
    over = threading.Event()
    told: dict[int, str] = {}

    def feed() -> None:
        chance = random.Random(services)
        while not over.wait(1 / CHANGES_PER_S):
            number = chance.randrange(services)
            turn = 1 if told.get(number, ip_of(number)) == ip_of(number) else 0
            told[number] = ip_of(number, turn)
            peer.change(number, told[number])

    feeder = threading.Thread(target=feed)
    if services:
        feeder.start()
    try:
        yield
    finally:
        over.set()
        if services:
            feeder.join()
    for number, ip in told.items():
        wait_for(peer, number, ip)
    for number in told:
        peer.change(number, ip_of(number))
    if told:
        wait_for(peer, number, ip_of(number))


def _saturated(peer: Peer, questions: Path) -> tuple[_Rate, int]:
    """At most; and how many answers there were."""
    said = _dnsperf(peer, questions, "-l", str(_RUN_S))
    rate = _figure(said, r"Queries per second: +([\d.]+)")
    lost, answers = (
        int(_figure(said, rf"Queries {what}: +(\d+)")) for what in ("lost", "completed")
    )
    denied = answers - int(_figure(said, r"Response codes: +NOERROR (\d+)")) if answers else 0
    if denied > answers // 100:
        raise RuntimeError(f"{peer.name} denies names that exist:\n{said}")
    return _Rate(rate, lost, denied), answers


def measured(peer: Peer, questions: Path, *more: str) -> tuple[float, int]:
    """The 99th percentile in µs, and how many queries were lost, which took forever."""
    said = _dnsperf(peer, questions, "-l", str(_RUN_S), "-v", *more)
    lines = [line for line in said.splitlines() if line.startswith("> ")]
    lost = int(_figure(said, r"Queries lost: +(\d+)"))
    took_s = [float(line.rsplit(" ", 1)[1]) for line in lines if line[2] != "T"] + [math.inf] * lost
    return float(np.quantile(took_s, 0.99, method="higher")) * 1e6, lost


def pinned_dnsperf(peer: Peer, *words: str) -> list[str]:
    """The command, on the clients' CPU."""
    return [
        *("taskset", "--cpu-list", str(CLIENT_CPU), "dnsperf", "-s", ADDRESS, "-p", str(peer.port)),
        *words,
    ]


def _dnsperf(peer: Peer, questions: Path, *more: str) -> str:
    """What it prints. Raises CalledProcessError."""
    words = ("-d", str(questions), "-c", str(_CLIENTS), "-q", str(_OUTSTANDING), "-t", "2", *more)
    argv = pinned_dnsperf(peer, *words)
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)
    return done.stdout.decode()


def _figure(text: str, pattern: str) -> float:
    found = re.search(pattern, text)
    if found is None:
        raise RuntimeError(f"dnsperf says nothing like {pattern}: {text[-2000:]}")
    return float(found[1])


def _cpu_ns(pid: int) -> int:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def _peak_mb(pid: int) -> float:
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(peak[1]) / 1024 if peak else math.nan


@contextmanager
def in_namespaces() -> Iterator[Path]:
    """The loopback address is up, this process is out of the servers' way; a folder that goes again."""
    os.sched_setaffinity(0, {CLIENT_CPU})
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.TemporaryDirectory(dir="/run") as folder:
        yield Path(folder)


def main() -> None:
    services, repeats = map(int, sys.argv[1:])
    with in_namespaces() as folder:
        for seen in race(services, repeats, folder):
            print(json.dumps(asdict(seen)), flush=True)


if __name__ == "__main__":
    main()
