"""Pods come, go and change sides: what becomes of the service, its address, and the pods'."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

from testbed.claims.addresses import PORT
from testbed.claims.claim import Claim, Observation
from testbed.claims.judging import always, saw
from testbed.claims.stage import Stage, service_of
from testbed.events import Event
from testbed.experiment.arrange import with_workload
from testbed.experiment.subjects import pods_of

DIALS = 20
"""From each node: three backends, picked at random, all answer but once in 10,000,000,000 trials."""
PATIENCE_S = 60.0
GROWN = 4


def scene(stage: Stage) -> Generator[None, None, Mapping[str, Observation]]:
    """A pod is relabelled out of its service and back, another one is deleted, a workload grows."""
    member = stage.chance.choice(stage.backends("crowd"))
    mover = stage.backends("moving")[0]
    before_s = [pod.name for pod in stage.backends("growing")]
    since_ns = stage.lab.now_ns()
    stage.lab.label(member.name, member="no")
    stage.lab.fault("delete", mover.name)
    stage.lab.apply(lambda topology: with_workload(topology, "growing", replicas=GROWN))
    stage.lab.await_programmed("endpoint-not-ready", member.ip, since_ns, PATIENCE_S)
    replaced = stage.lab.wait_event(_ready_again("moving-", mover.uid, since_ns), PATIENCE_S)
    grown = _answers(stage, "growing")
    without = _answers(stage, "crowd")
    yield
    since_ns = stage.lab.now_ns()
    stage.lab.label(member.name, member="yes")
    stage.lab.await_programmed("endpoint-ready", member.ip, since_ns, PATIENCE_S)
    stage.lab.await_programmed("endpoint-ready", str(replaced.detail["pod_ip"]), 0, PATIENCE_S)
    again = _answers(stage, "crowd")
    moved = _answers(stage, "moving")
    view = stage.lab.inspect()
    added = [name for name in pods_of(view) if name.startswith("growing-") and name not in before_s]
    return {
        "relabel-out": _never(without, member.name),
        "relabel-in": _ever(again, [member.name]),
        "scale-out-moves-load": _ever(grown, added, share_of=True),
        "address-kept-when-rescheduled": _kept(stage, mover.ip, replaced),
        "service-address-stays": _stayed(stage, view, [grown, without, again, moved]),
    }


def _ready_again(prefix: str, uid: str, since_ns: int) -> Callable[[Event], bool]:
    """Says whether an event is another pod's of that workload becoming ready."""

    def is_meant(event: Event) -> bool:
        name = event.object.rpartition("/")[2]
        return (
            (event.source, event.kind) == ("store", "pod-ready")
            and event.t_ns >= since_ns
            and name.startswith(prefix)
            and event.detail["uid"] != uid
        )

    return is_meant


def _answers(stage: Stage, service: str) -> list[Mapping[str, Any]]:
    """New connections to a service from a pod on every node."""
    dials = [{"host": stage.address(service), "port": PORT}] * DIALS
    found = stage.ask_all({stage.asker(node): {"dial": dials} for node in stage.nodes})
    return [row for answers in found.values() for row in answers["dial"]]


def _never(rows: Sequence[Mapping[str, Any]], pod: str) -> Observation:
    wrong = [f"{pod} answered after it had left" for row in rows if row["who"] == pod]
    wrong += [f"a request got {row['error']}" for row in rows if not row["who"]]
    return saw(len(rows), len(rows) - len(wrong), *wrong[:1])


def _ever(
    rows: Sequence[Mapping[str, Any]], pods: Sequence[str], *, share_of: bool = False
) -> Observation:
    """Whether each of the pods has answered."""
    answers = [row["who"] for row in rows]
    missing = [pod for pod in pods if pod not in answers]
    exception = f"{missing[0]} answered none of {len(rows)} connections" if missing else ""
    share = sum(who in pods for who in answers) / len(answers)
    figures = {"new_pods_share": share} if share_of else {}
    remark = f"The {len(pods)} new pods got {share:.0%} of the connections." if share_of else ""
    return saw(len(pods), len(pods) - len(missing), exception, remark=remark, **figures)


def _kept(stage: Stage, old: str, replaced: Event) -> Observation:
    """Whether the pod that took another's place has its address."""
    new = str(replaced.detail["pod_ip"])
    name = replaced.object.rpartition("/")[2]
    exception = "" if new == old else f"{name} had {old} and has {new}"
    return saw(1, int(new == old), exception)


def _stayed(
    stage: Stage, view: Mapping[str, Any], answers: Sequence[Sequence[Mapping[str, Any]]]
) -> Observation:
    """Whether services have the address of before, and somebody answered at it after each change."""
    changed = ("crowd", "moving", "growing", "frail")
    wrong = [
        f"{name} had {stage.address(name)}, has {service_of(view, name)['clusterIP']}"
        for name in changed
        if service_of(view, name)["clusterIP"] != stage.address(name)
    ]
    rows = [row for several in answers for row in several]
    wrong += [f"{row['host']} gave {row['error']}" for row in rows if not row["who"]]
    tried = len(changed) + len(rows)
    return saw(tried, tried - len(wrong), *wrong[:1])


CLAIMS = (
    Claim(
        "relabel-out",
        "Changing a pod's label takes it out of the service.",
        "tutorial",
        "once every node knows, no new connection goes to it",
        scene,
        always,
    ),
    Claim(
        "relabel-in",
        "Giving it the label back puts the pod into the service again.",
        "tutorial",
        f"once every node knows, it answers one of {3 * DIALS} new connections",
        scene,
        always,
    ),
    Claim(
        "scale-out-moves-load",
        "Scaling out moves load to the new pods.",
        "tutorial",
        f"each new pod answers one of {3 * DIALS} new connections",
        scene,
        always,
    ),
    Claim(
        "address-kept-when-rescheduled",
        "A pod keeps its address when it is rescheduled.",
        "answer",
        "the pod that takes a deleted one's place has its address",
        scene,
        always,
    ),
    Claim(
        "service-address-stays",
        "The service's address stays while its pods come and go.",
        "documentation",
        "after each change the address is the same and is answered",
        scene,
        always,
    ),
)
