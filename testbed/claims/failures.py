"""A pod crashes under traffic: from when on does it get no more, and who learns of it when?"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from testbed.claims.addresses import PORT
from testbed.claims.claim import Claim, Judgement, Observation
from testbed.claims.judging import always, count, exception_bound, saw, typical
from testbed.claims.stage import Stage
from testbed.errors import OutOfTimeOrRoom
from testbed.events import Event
from testbed.experiment.arrange import RELIST_S
from testbed.experiment.subjects import PodRef
from testbed.experiment.trial_lab import has_programmed

LONGEST_S = 30.0
"""How long traffic goes on at most; it ends `AFTER_S` after every node's rules lack the pod."""
AFTER_S = 1.0
"""Enough for a flow that the proxy forgets after its sync, and for a datagram's timeout."""
LEAD_IN_S = 0.2
TIMEOUT_S = {"tcp": 10.0, "udp": 0.5}
"""The dead pod's kernel refuses TCP at once (who is silent for long is a busy machine); of datagrams it refuses
one a second, and is silent else.
"""
PERIOD_S = {"tcp": 0.01, "udp": 0.05}
"""Each UDP socket leaves a flow that the proxy has to forget when the pod is withdrawn: not too many."""
SLACK_MS = 200.0
"""The margin: what is lost this soon after the crash was on its way when it happened."""
PATIENCE_S = 60.0

STREAMS = {
    "crash-new-tcp": ("tcp", False),
    "crash-kept-tcp": ("tcp", True),
    "crash-new-udp": ("udp", False),
    "crash-kept-udp": ("udp", True),
}
"""Claim -> what is watched for it from every node: the protocol, and whether flows are kept."""

Rows = Sequence[Sequence[Any]]


def scene(stage: Stage) -> Generator[None, None, Mapping[str, Observation]]:
    """New and kept flows, TCP and UDP, from every node; amid them one backend is killed, and stays dead.

    It has been killed before: the kubelet restarts a container at once only the first time.
    """
    victim = _victim(stage)
    first = stage.lab.fault("crash", victim.name)
    yield
    stage.lab.await_programmed("endpoint-ready", victim.ip, first.t_ns, PATIENCE_S)
    target = {"host": stage.address("frail"), "port": PORT, "backend": victim.name}
    streams = [
        {
            **target,
            "protocol": protocol,
            "kept": kept,
            "timeout_s": TIMEOUT_S[protocol],
            "period_s": PERIOD_S[protocol],
            "duration_s": LONGEST_S,
        }
        for protocol, kept in STREAMS.values()
    ]
    watching = {node: stage.begin(stage.asker(node), watch=streams) for node in stage.nodes}
    for asked in watching.values():
        asked.await_start()
    stage.lab.pause(LEAD_IN_S + stage.chance.uniform(0.0, RELIST_S))
    fault = stage.lab.fault("crash", victim.name)
    yield
    written = _written(stage, victim, fault.t_ns)
    synced = {} if written is None else _synced(stage, written)
    withdrawn = max((event.t_ns for event in synced.values()), default=None)
    since_s = (stage.lab.now_ns() - (withdrawn or 0)) / 1e9
    stage.lab.pause(max(0.0, AFTER_S - since_s))
    for asked in watching.values():
        asked.stop()
    rows = {node: asked.answers()["watch"] for node, asked in watching.items()}
    returned_ns = None if written is None else _returned_ns(stage, victim, written)
    new_tcp, kept_tcp, new_udp, kept_udp = (
        {node: found[at] for node, found in rows.items()} for at in range(len(STREAMS))
    )
    new_tcp = {node: telling(found) for node, found in new_tcp.items()}
    seen = (new_tcp, kept_tcp, new_udp, kept_udp)
    return {
        **{
            name: lost(flows.values(), fault.t_ns, withdrawn, closes=flows is kept_tcp)
            for name, flows in zip(STREAMS, seen, strict=True)
        },
        "ready-at-last-sync": after_sync(
            {node: before(found, returned_ns) for node, found in new_tcp.items()},
            *(victim.name, written, synced),
        ),
    }


def _victim(stage: Stage) -> PodRef:
    """Whoever answers a client: where sources are hashed, not every client reaches every pod."""
    node = stage.chance.choice(sorted(stage.nodes))
    (row,) = stage.ask(stage.asker(node), dial=[{"host": stage.address("frail"), "port": PORT}])[
        "dial"
    ]
    backends = {pod.name: pod for pod in stage.backends("frail")}
    return backends.get(row["who"], next(iter(backends.values())))


def _written(stage: Stage, victim: PodRef, since_ns: int) -> Event | None:
    """The EndpointSlice write that withdrew the victim; None where there was none in time."""

    def is_meant(event: Event) -> bool:
        return (
            (event.source, event.kind) == ("store", "endpoint-not-ready")
            and event.t_ns >= since_ns
            and event.detail.get("pod_ip") == victim.ip
        )

    with suppress(OutOfTimeOrRoom):
        return stage.lab.wait_event(is_meant, PATIENCE_S)
    return None


def _synced(stage: Stage, written: Event) -> dict[str, Event]:
    """When each node's rules held a write."""
    found = {}
    for node in stage.nodes:
        with suppress(OutOfTimeOrRoom):
            is_meant = partial(has_programmed, node=node, write=written)
            found[node] = stage.lab.wait_event(is_meant, PATIENCE_S)
    return found


def _returned_ns(stage: Stage, victim: PodRef, written: Event) -> int | None:
    """When the victim was an endpoint again: on a slow machine that may be before all is seen."""
    return next(
        (
            event.t_ns
            for event in stage.lab.events(written.t_ns)
            if event.kind == "endpoint-ready" and event.detail.get("pod_ip") == victim.ip
        ),
        None,
    )


def before(rows: Rows, end_ns: int | None) -> Rows:
    """What began before an instant; None: all."""
    return [row for row in rows if end_ns is None or row[0] < end_ns]


def telling(rows: Rows) -> Rows:
    """Of new TCP connections those that tell of the pod: silence is a busy machine, a dead pod refuses."""
    return [row for row in rows if row[2] != "timeout"]


def lost(
    flows: Iterable[Rows], fault_ns: int, withdrawn_ns: int | None, *, closes: bool = False
) -> Observation:
    """What failed after the crash, in ms from it. `until_ms`: the last request that failed; `late`: how many
    were lost after the margin. `closes`: a flow that breaks tells its client so, which is no loss.
    """
    watched = [rows for rows in flows if rows]
    after = [row for rows in watched for row in rows if row[0] >= fault_ns]
    failed = [((row[0] - fault_ns) / 1e6, row[2]) for row in after if row[2]]
    missed = [at_ms for at_ms, error in failed if not closes or error == "timeout"]
    return {
        "flows": len(watched),
        "requests": len(after),
        "lost": len(missed),
        "late": sum(at_ms > SLACK_MS for at_ms in missed),
        "closed": len(failed) - len(missed),
        "until_ms": max((at_ms for at_ms, _ in failed), default=0.0),
        "withdrawn_ms": None if withdrawn_ns is None else (withdrawn_ns - fault_ns) / 1e6,
    }


def after_sync(
    rows: Mapping[str, Rows],
    victim: str,
    written: Event | None,
    synced: Mapping[str, Event],
) -> Observation:
    """New connections after a node's rules lacked the victim: did any go there?

    A request that fails then went to it: nobody else is down.
    """
    if written is None or not synced:
        return saw(0, 0, "the crash was over before anybody heard of it")
    tried, wrong = 0, []
    for node, event in synced.items():
        for began_ns, who, error in rows[node]:
            if event.t_ns <= began_ns:
                tried += 1
                if error or who == victim:
                    late_ms = (began_ns - event.t_ns) / 1e6
                    wrong.append(
                        f"{late_ms:.0f} ms after {node}'s sync a request got {error or who}"
                    )
    windows_ms = [(event.t_ns - written.t_ns) / 1e6 for event in synced.values()]
    remark = f"The window from the write to a node's rules was {max(windows_ms):.0f} ms at most."
    return {
        **saw(tried, tried - len(wrong), *wrong[:1], remark=remark),
        "window_ms": sum(windows_ms) / len(windows_ms),
        "longest_window_ms": max(windows_ms),
    }


def judge_crash(observed: Sequence[Observation], mode: str) -> Judgement:
    """A trial in which a request was lost later than the margin after the crash refutes it."""
    known = [one for one in observed if one["flows"]]
    figures: dict[str, Any] = {"trials": len(known), "margin_ms": SLACK_MS, **typical(known)}
    if not known:
        return Judgement("undecided", "No flow led to the pod that crashed.", figures)
    for name in ("requests", "lost", "late", "closed"):
        figures[name] = sum(one[name] for one in known)
    figures["longest_ms"] = max(one["until_ms"] for one in known)
    said = _after_crash(figures)
    if figures["late"]:
        return Judgement("does not hold", said, figures)
    figures["exceptions_at_most"] = exception_bound(len(known))
    return Judgement("holds", said, figures)


def _after_crash(figures: Mapping[str, Any]) -> str:
    """What became of the requests, in a sentence."""
    trials = count(figures["trials"], "trial")
    at_most = f"the last one {figures['longest_ms']:.0f} ms after the crash"
    if figures["lost"]:
        said = f"{count(figures['lost'], 'request')} lost in {trials}, {at_most}"
    elif figures["closed"]:
        said = f"{count(figures['closed'], 'connection')} closed in {trials}, {at_most}"
    else:
        said = f"Not one of {figures['requests']} requests was lost in {trials}"
    if "withdrawn_ms" in figures:
        said += f"; the rules lacked the pod after {figures['withdrawn_ms']:.0f} ms on average"
    return f"{said}."


def _crash(name: str, what: str) -> Claim:
    return Claim(
        name,
        f"A crashed pod gets no more traffic: {what}.",
        "tutorial",
        f"no request is lost later than {SLACK_MS:g} ms after the process died",
        scene,
        judge_crash,
    )


CLAIMS = (
    _crash("crash-new-tcp", "new TCP connections"),
    _crash("crash-kept-tcp", "requests on TCP connections to it that stay open"),
    _crash("crash-new-udp", "datagrams from new UDP sockets"),
    _crash("crash-kept-udp", "datagrams from a UDP socket that was talking to it"),
    Claim(
        "ready-at-last-sync",
        "Whoever dials a service gets a pod that was ready at the last sync.",
        "documentation",
        "no new connection goes to a pod after its node's rules have lost it",
        scene,
        always,
    ),
)
