"""UDP flows that outlive where they lead: an endpoint that is gone, or nobody at all."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from testbed.claims.claim import Observation
from testbed.claims.entries import Entry, ip_of, tables
from testbed.claims.stage import OUTSIDE, Asked, Stage
from testbed.events import Event
from testbed.experiment.subjects import PodRef
from testbed.issues.bugs import KEEP_STALE_UDP, NONE, SKIP_EMPTY_SERVICES
from testbed.issues.issue import Issue, attempt
from testbed.issues.judging import once_a_trial
from testbed.issues.waiting import NODE, PATIENCE_S, SERVES, await_write, in_place
from testbed.model.service import ServiceSpec
from testbed.model.topology import Topology

LATE, LATE_PORT, LATE_NODE_PORT = "late", 5514, 31514
STATSD_NODE_PORT, RESTARTING_NODE_PORT = 31125, 31201
DENSE_S, DENSE_FLOWS = 0.002, 4
"""To meet the instant between two tables of rules: refused at once, each flow tries again and again."""
LEAD_IN_S = 0.3
"""So long every client sends before anything changes."""
WATCH_S = 0.8
"""So long after everything is in place each client is watched for an answer."""
TIMEOUT_S, PERIOD_S = 0.1, 0.02
ANEW_S = 2.0
"""So long a new socket waits for its answer; it asks twice."""
LONGEST_S = 300.0
FEWEST = 2
"""Requests after the change without which an attempt does not count."""
Rows = Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Sender:
    """A client that keeps its port: `issue` is whose attempt it is; `at_once`: it sends before anybody can
    answer.
    """

    issue: str
    place: str
    host: str
    port: int
    at_once: bool = False
    period_s: float = PERIOD_S


def scene(stage: Stage) -> Generator[None, None, Mapping[str, Observation]]:
    """Senders on one socket each, to services whose endpoints are replaced, come late, or go."""
    statsd, old, new, restarting, emptied = (
        stage.backends(name)[0] for name in ("statsd", "old", "new", "restarting", "emptied")
    )
    stage.lab.label(restarting.name, **{SERVES: "nobody"})
    in_place(stage)
    senders = _senders(stage)
    watching = _begin(stage, senders)
    stage.lab.pause(LEAD_IN_S)
    _replaced_behind_the_proxy(stage, old, new)
    since_ns = stage.lab.now_ns()
    stage.lab.fault("delete", statsd.name)
    stage.lab.label(emptied.name, **{SERVES: "nobody"})
    stage.lab.label(restarting.name, **{SERVES: "restarting"})
    yield
    _await_replacement(stage, statsd, since_ns)
    stage.lab.apply(with_late_service)
    in_place(stage)
    settled_ns = stage.lab.now_ns()
    fresh = _answered_anew(stage, senders)
    stage.lab.pause(WATCH_S)
    rows = _ended(watching, senders)
    known = tables(stage, "udp")
    heirs = {
        "udp-endpoint-replaced": Heir("statsd", statsd.ip),
        "udp-proxy-restarted": Heir("new", old.ip),
        "udp-begun-without-endpoint": Heir("restarting"),
        "udp-service-created-late": Heir("web"),
        "udp-last-endpoint-gone": Heir("", emptied.ip),
    }
    found = {}
    for issue, heir in heirs.items():
        # Where a new socket is not answered either, silence says nothing of the old one.
        counted = [
            (one, seen)
            for one, seen in rows
            if one.issue == issue and (not heir.workload or _where(one) in fresh)
        ]
        found[issue] = judged(counted, heir, settled_ns, known)
    return found


@dataclass(frozen=True, slots=True)
class Heir:
    """Whose pods must answer after the change (empty: nobody must), and the address that must not."""

    workload: str
    gone: str = ""


def _senders(stage: Stage) -> tuple[Sender, ...]:
    node_ip, pod = stage.nodes[NODE], stage.asker(NODE)
    return (
        Sender("udp-endpoint-replaced", OUTSIDE, node_ip, STATSD_NODE_PORT),
        Sender("udp-endpoint-replaced", pod, stage.address("statsd"), 8125),
        Sender("udp-proxy-restarted", pod, stage.address("resolver"), 53),
        *(
            Sender("udp-begun-without-endpoint", host, at, port, True, DENSE_S)
            for host, at, port in (
                (pod, stage.address("restarting"), 5201),
                (OUTSIDE, node_ip, RESTARTING_NODE_PORT),
            )
            for _ in range(DENSE_FLOWS)
        ),
        Sender("udp-service-created-late", OUTSIDE, node_ip, LATE_NODE_PORT, True),
        Sender("udp-last-endpoint-gone", pod, stage.address("emptied"), 8125),
    )


def _begin(stage: Stage, senders: Iterable[Sender]) -> dict[str, Asked]:
    """A probe in each place, with all its senders; returns when each of them sends."""
    streams: dict[str, list[dict[str, Any]]] = {}
    for one in senders:
        streams.setdefault(one.place, []).append(
            {
                "host": one.host,
                "port": one.port,
                "protocol": "udp",
                "kept": True,
                "at_once": one.at_once,
                "timeout_s": TIMEOUT_S,
                "period_s": one.period_s,
                "duration_s": LONGEST_S,
            }
        )
    started = {place: stage.begin(place, watch=wanted) for place, wanted in streams.items()}
    for asked in started.values():
        asked.await_start()
    return started


def _ended(watching: Mapping[str, Asked], senders: Iterable[Sender]) -> list[tuple[Sender, Rows]]:
    """What each sender's requests came to."""
    for asked in watching.values():
        asked.stop()
    rows = {place: iter(asked.answers()["watch"]) for place, asked in watching.items()}
    return [(one, next(rows[one.place])) for one in senders]


def _answered_anew(stage: Stage, senders: Iterable[Sender]) -> set[str]:
    """Where a new socket from the same place is answered."""
    jobs: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for one in senders:
        dial = {"host": one.host, "port": one.port, "protocol": "udp", "timeout_s": ANEW_S}
        wanted = jobs.setdefault(one.place, {"dial": []})["dial"]
        if dial not in wanted:
            wanted.append(dial)
    return {
        f"{row['host']}:{row['port']}"
        for answers in stage.ask_all(jobs).values()
        for row in answers["dial"]
        if row["who"]
    }


def _replaced_behind_the_proxy(stage: Stage, old: PodRef, new: PodRef) -> None:
    """The endpoint of `resolver` becomes another one while the node's proxy sees nothing; then a new proxy
    takes its place, which has never heard of the old endpoint.
    """
    since_ns = stage.lab.fault("stall-proxy", NODE).t_ns
    stage.lab.label(new.name, **{SERVES: "resolver"})
    stage.lab.label(old.name, **{SERVES: "nobody"})
    await_write(stage, "endpoint-not-ready", old.ip, since_ns)
    stage.lab.fault("restart-proxy", NODE)


def _await_replacement(stage: Stage, gone: PodRef, since_ns: int) -> None:
    """Return when the pod that takes a deleted one's place is ready."""
    workload = gone.name.rpartition("-")[0]

    def is_meant(event: Event) -> bool:
        return (
            (event.source, event.kind) == ("store", "pod-ready")
            and event.t_ns >= since_ns
            and event.object.rpartition("/")[2].rpartition("-")[0] == workload
            and event.detail["uid"] != gone.uid
        )

    stage.lab.wait_event(is_meant, PATIENCE_S)


def with_late_service(topology: Topology) -> Topology:
    """Adds the service that comes after its client."""
    port = {"port": LATE_PORT, "targetPort": 8080, "protocol": "UDP", "nodePort": LATE_NODE_PORT}
    late = ServiceSpec.model_validate(
        {"type": "NodePort", "ports": [port], "selector": {"app": "web"}}
    )
    return topology.model_copy(update={"services": {**topology.services, LATE: late}})


def judged(
    flows: Iterable[tuple[Sender, Rows]],
    heir: Heir,
    settled_ns: int,
    known: Mapping[str, Iterable[Entry]],
) -> Observation:
    """One attempt: whether some flow went on to where it must not."""
    counted, stuck = 0, []
    for sender, rows in flows:
        after = [row for row in rows if row[0] >= settled_ns]
        if len(after) < FEWEST:
            continue
        counted += 1
        answered = {str(row[1]) for row in after if row[1]}
        right = {who for who in answered if who.rpartition("-")[0] == heir.workload}
        entry = _entry(sender, known)
        to_the_gone = entry is not None and ip_of(entry.reply_src) == heir.gone
        # Whoever was answered by the right one even once is not stuck: datagrams may be lost.
        if answered - right or (to_the_gone if not heir.workload else not right):
            stuck.append(_told(sender, len(after), answered, entry))
    if not counted:
        return attempt(0, 0, "no flow of it was answered, not even a new one", flows=0, stuck=0)
    return attempt(1, int(bool(stuck)), *stuck[:1], flows=counted, stuck=len(stuck))


def _told(sender: Sender, requests: int, answered: Iterable[str], entry: Entry | None) -> str:
    got = ", ".join(sorted(answered)) or "no answer"
    leads = f"its entry leads to {entry.reply_src}" if entry else "no kernel has its entry"
    return f"{requests} requests of {sender.place} to {_where(sender)} got {got}; {leads}"


def _entry(sender: Sender, known: Mapping[str, Iterable[Entry]]) -> Entry | None:
    """What the first kernel that knows of the flow has of it."""
    return next(
        (entry for table in known.values() for entry in table if entry.dst == _where(sender)), None
    )


def _where(sender: Sender) -> str:
    return f"{sender.host}:{sender.port}"


_STUCK = (
    "after every proxy has finished, no request of the flow is answered by a pod that serves, though a new "
    "socket's is"
)


def _issue(name: str, number: int, says: str, provoked: str) -> Issue:
    return Issue(
        name,
        number,
        says,
        provoked,
        "a trial",
        _STUCK,
        scene,
        once_a_trial,
        (NONE, KEEP_STALE_UDP),
    )


ISSUES = (
    _issue(
        "udp-endpoint-replaced",
        59368,
        "A UDP client that keeps its port goes on to an endpoint that has been replaced.",
        "the one pod of a service is deleted; an outside host keeps sending to its node port, a pod to its "
        "cluster address",
    ),
    _issue(
        "udp-proxy-restarted",
        125467,
        "UDP entries stay stale where an endpoint changed while kube-proxy was down.",
        "a node's proxy is stalled, the service's endpoint becomes another pod, a new proxy process starts",
    ),
    _issue(
        "udp-begun-without-endpoint",
        114668,
        "A UDP flow that begins while the service's pod restarts stays stuck.",
        "a pod sends to a service without endpoints, which then gets its endpoint back",
    ),
    _issue(
        "udp-service-created-late",
        31983,
        "UDP that was sent before the service existed never reaches it.",
        "an outside host sends to a node's port; then a service gets that node port",
    ),
    Issue(
        "udp-last-endpoint-gone",
        139628,
        "UDP entries stay when a service loses its last endpoint.",
        "the one pod of a service leaves it; a pod keeps sending to its cluster address",
        "a trial",
        "after every proxy has finished, requests are answered by the pod that left, or lead to it",
        scene,
        once_a_trial,
        (NONE, KEEP_STALE_UDP, SKIP_EMPTY_SERVICES),
    ),
)
