"""TCP when a backend leaves: the connection that it has, and ports that come back."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from testbed.claims.claim import Observation
from testbed.claims.stage import POD_PORT, Stage
from testbed.errors import TestbedError
from testbed.issues.bugs import NONE, REUSE_PORTS
from testbed.issues.issue import Issue, attempt
from testbed.issues.judging import many_a_trial, once_a_trial
from testbed.issues.pattern import begin
from testbed.issues.waiting import CALM_NODE, SERVES, await_endpoint

PORT = 80
OWN_PORTS = tuple(range(20001, 20009))
"""Of the client: they come round again and again. Outside of what kernels hand out."""
CONTROL_PORTS = tuple(range(20011, 20019))
ROUNDS = 6
PERIOD_S = 0.02
LEAD_IN_S = 0.2
AFTER_S = 0.5
"""So long connections go on after the backend has left every node's rules."""
FEWEST = 2
"""Requests after that without which an attempt does not count."""
LONGEST_S = 60.0
SYSCTLS = ("conn_reuse_mode", "conntrack", "expire_nodest_conn")
"""Of net.ipv4.vs: what IPVS does with an entry whose port comes back, or whose backend has gone."""
REUSING = ("conn_reuse_mode", "expire_nodest_conn")
"""Those that the switch sets to 0."""
FOLDER = "/proc/sys/net/ipv4/vs"

Rows = Sequence[Sequence[Any]]


def scene(stage: Stage) -> Generator[None, None, Mapping[str, Observation]]:
    """A kept connection, and ports that dial again and again; amid them the kept one's backend leaves the
    service, and goes on to live.
    """
    settings = _settings(stage)
    place, host = stage.asker(CALM_NODE), stage.address("draining")
    victim = stage.chance.choice(stage.backends("draining"))
    control = {"host": victim.ip, "port": POD_PORT, "own_ports": CONTROL_PORTS}
    often = {"period_s": PERIOD_S, "rounds": ROUNDS}
    direct = begin(stage, place, same_ports=control | often).answers()["same_ports"]
    target = {"host": host, "port": PORT, "period_s": PERIOD_S}
    stream = {"kept": True, "backend": victim.name, "timeout_s": 2.0, "duration_s": LONGEST_S}
    kept = stage.begin(place, watch=[target | stream])
    again = begin(stage, place, same_ports=target | {"own_ports": OWN_PORTS})
    for asked in (kept, again):
        asked.await_start()
    stage.lab.pause(LEAD_IN_S)
    left_ns = stage.lab.now_ns()
    stage.lab.label(victim.name, **{SERVES: "nobody"})
    yield
    await_endpoint(stage, "endpoint-not-ready", victim.ip, left_ns)
    settled_ns = stage.lab.now_ns()
    stage.lab.pause(AFTER_S)
    for asked in (kept, again):
        asked.stop()
    rows = again.answers()["same_ports"]
    (requests,) = kept.answers()["watch"]
    return {
        "kept-connection-cut": {**cut(requests, victim.name, settled_ns), "remark": settings},
        "port-reuse-delayed": {**delayed(rows, direct), "remark": settings},
        "port-reuse-to-the-gone": {
            **to_the_gone(rows, victim.name, settled_ns),
            "remark": settings,
        },
    }


def _settings(stage: Stage) -> str:
    """What the client's node is told of IPVS, in words; with the switch, entries of ports are reused.

    Raises TestbedError where the kernel does not let that be set.
    """
    if not stage.mode.startswith("ipvs"):
        return ""
    if stage.factors["bug"] == REUSE_PORTS:
        for node in stage.nodes:
            for name in REUSING:
                stage.lab.exec(node, ["sh", "-c", f"echo 0 > {FOLDER}/{name}"])
                # In a namespace such a write may come to nothing, without an error.
                if _read(stage, node, name) != "0":
                    raise TestbedError(f"net.ipv4.vs.{name} cannot be set on {node}")
    return ", ".join(f"{name}={_read(stage, CALM_NODE, name)}" for name in SYSCTLS)


def _read(stage: Stage, node: str, name: str) -> str:
    return stage.lab.exec(node, ["cat", f"{FOLDER}/{name}"]).stdout.strip()


def cut(requests: Rows, victim: str, settled_ns: int) -> Observation:
    """One attempt: does the connection to the backend that left break, though the backend lives?"""
    broken = [row for row in requests if row[2]]
    after = [row for row in requests if row[0] >= settled_ns]
    if not requests or (not broken and len(after) < FEWEST):
        return attempt(0, 0, "no connection led to the pod that was to leave")
    example = f"The connection to {victim} broke: {broken[0][2]}" if broken else ""
    return attempt(1, int(bool(broken)), example)


def delayed(rows: Rows, direct: Rows) -> Observation:
    """An attempt is a connection from a port that was used before: was something sent twice? Less what the
    same ports straight to a pod show: a busy machine loses segments, too.
    """
    again, control = _reused(rows), _reused(direct)
    slow = [row for row in again if row[4]]
    expected = sum(1 for row in control if row[4]) * len(again) / len(control) if control else 0
    shown = max(0, len(slow) - round(expected))
    example = f"Port {slow[0][1]} had to send a segment again" if shown else ""
    return attempt(len(again), shown, example, resent_share=len(slow) / max(1, len(again)))


def _reused(rows: Rows) -> list[Sequence[Any]]:
    """Connections that came about, from ports that had one before."""
    known: set[int] = set()
    found = []
    for row in rows:
        if row[1] in known and not row[3]:
            found.append(row)
        known.add(row[1])
    return found


def to_the_gone(rows: Rows, victim: str, settled_ns: int) -> Observation:
    """An attempt is a port that had a connection to the backend before it left: does it lead there still?"""
    before = {row[1] for row in rows if row[0] < settled_ns and row[2] == victim}
    after: dict[int, list[str]] = {}
    for row in rows:
        if row[0] >= settled_ns and row[1] in before:
            after.setdefault(row[1], []).append(row[2])
    shown = [port for port, who in after.items() if victim in who]
    example = f"Port {shown[0]} was led to {victim} after it had left" if shown else ""
    return attempt(int(bool(after)), int(bool(shown)), example, ports=len(after), led=len(shown))


ISSUES = (
    Issue(
        "kept-connection-cut",
        57841,
        "A connection is cut as soon as its endpoint is withdrawn, though the pod would still answer.",
        "a pod leaves its service by its label and lives on; a client keeps asking on its connection to it",
        "a trial",
        "a request on the kept connection fails",
        scene,
        once_a_trial,
        (NONE, REUSE_PORTS),
    ),
    Issue(
        "port-reuse-delayed",
        70747,
        "A connection from a port that was used before takes a second more: its first SYN is dropped.",
        f"{len(OWN_PORTS)} ports of a client dial again as soon as their last connection has been closed",
        "a connection from a port that was used before",
        "a segment had to be sent again (TCP_INFO), more often than straight to a pod",
        scene,
        many_a_trial(),
        (NONE, REUSE_PORTS),
    ),
    Issue(
        "port-reuse-to-the-gone",
        81775,
        "A client whose ports come back is led to a pod that left the service.",
        f"{len(OWN_PORTS)} ports of a client dial again and again while a pod leaves the service",
        "a trial",
        "after every proxy has finished, a port is answered by the pod that left",
        scene,
        once_a_trial,
        (NONE, REUSE_PORTS),
    ),
)
