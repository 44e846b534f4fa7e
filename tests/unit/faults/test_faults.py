"""Faults: how they are written, their order, and the instant that injecting one reports."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from signal import SIGCONT, SIGKILL, SIGSTOP

import pytest

from testbed.errors import CheckFailed, NotFound, OutOfTimeOrRoom, UsageError
from testbed.events import Event
from testbed.faults.fault import (
    NODE_KINDS,
    POD_KINDS,
    Fault,
    NodeFault,
    node_fault,
    parse_fault,
    pod_fault,
)
from testbed.faults.inject import Reach, inject
from testbed.faults.process_state import STOPPED, process_state
from testbed.faults.watch_delay import WatchDelay
from testbed.model.containers import Container
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.pods import Pod, PodSpec, PodStatus
from testbed.store import Change, Create, Store, Write

WRITTEN: list[tuple[str, Fault | NodeFault]] = [
    ("crash web-0", Fault("crash", "web-0")),
    ("crash shop/web-0 --container echo", Fault("crash", "shop/web-0", container="echo")),
    ("hang web-0", Fault("hang", "web-0")),
    ("heal web-0 --container echo", Fault("heal", "web-0", container="echo")),
    ("delete web-0 --grace-period 250ms", Fault("delete", "web-0", grace_s=0.25)),
    ("delete web-0", Fault("delete", "web-0")),
    ("delete web-0 --force", Fault("delete", "web-0", force=True)),
    ("delete web-0 --grace-period 5", Fault("delete", "web-0", grace_s=5.0)),
    ("delay-watch n1 --delay 500ms", NodeFault("delay-watch", "n1", WatchDelay(0.5))),
    (
        "delay-watch n1 --delay 2s --jitter 1s --reorder 5% --seed 7",
        NodeFault("delay-watch", "n1", WatchDelay(2.0, 1.0, 0.05), 7),
    ),
    ("stop-node n1", NodeFault("stop-node", "n1")),
    ("stall-proxy n1", NodeFault("stall-proxy", "n1")),
    ("restart-proxy n1", NodeFault("restart-proxy", "n1")),
    ("drain n1 --force --grace-period 1s", NodeFault("drain", "n1", force=True, grace_s=1.0)),
    ("heal n1", NodeFault("heal", "n1")),
]


@pytest.mark.parametrize(("text", "fault"), WRITTEN, ids=[row[0] for row in WRITTEN])
def test_parse(text: str, fault: Fault | NodeFault) -> None:
    kind, where, options = parse_fault(text.split())
    make = pod_fault if isinstance(fault, Fault) else node_fault
    assert make(kind, where[0], options) == fault


MISTAKES: list[tuple[str, type[Exception], str]] = [
    ("crash", UsageError, "such as: crash web-0"),
    ("explode web-0", UsageError, "the faults are crash, delete, hang, stop-node"),
    ("crash --force", UsageError, "neither a pod nor a node"),
    ("crash shop/", UsageError, "neither a pod nor a node"),
    ("crash web-0 --force", UsageError, "crash takes no --force"),
    ("hang web-0 --grace-period 1s", UsageError, "hang takes no --grace-period"),
    ("delete web-0 --container echo", UsageError, "delete takes no --container"),
    ("delete web-0 --grace-period", UsageError, "--grace-period needs a value"),
    ("delete web-0 --grace-period --force", UsageError, "--grace-period needs a value"),
    ("delete web-0 --grace-period soon", UsageError, "write it like 10s"),
    ("hang web-0 --when 3s", UsageError, "'--when' is not an option"),
    ("delay-watch n1", UsageError, "needs --delay"),
    ("delay-watch n1 --delay 1s --jitter 2s", UsageError, "--jitter is more than --delay"),
    ("delay-watch n1 --delay 1s --reorder 5", UsageError, "write it like 5% or 0.05"),
    ("delay-watch n1 --delay 1s --seed x", UsageError, "--seed"),
    ("stall-proxy n1 --delay 1s", UsageError, "stall-proxy takes no --delay"),
    ("crash web-0 web-1", UsageError, "one pod or node at a time"),
    ("drain n1 --container echo", UsageError, "drain takes no --container"),
    ("impair n1 --delay -5ms", UsageError, "write it like 10s"),
    ("impair n1 --loss 120%", UsageError, "write it like 5%"),
    ("impair n1 --rate fast", UsageError, "write it like 100mbit"),
    ("impair n1 --reorder 5%", UsageError, "impair takes no --reorder"),
    ("cut n1 --delay 5ms", UsageError, "cut takes no --delay"),
]


@pytest.mark.parametrize(("text", "error", "says"), MISTAKES, ids=[row[0] for row in MISTAKES])
def test_mistakes(text: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        parse_fault(text.split())


def test_a_fault_of_a_node_is_none_of_a_pod_and_the_other_way_round() -> None:
    with pytest.raises(UsageError, match="stall-proxy is for nodes"):
        pod_fault("stall-proxy", "default/web-0", {})
    with pytest.raises(UsageError, match="crash is for pods"):
        node_fault("crash", "n1", {})
    with pytest.raises(UsageError, match="heal takes no --delay"):
        node_fault("heal", "n1", {"delay_s": 1.0})


def test_levels_are_never_pooled() -> None:
    faults: list[Fault | NodeFault] = [Fault(kind, "web-0") for kind in POD_KINDS]
    faults += [Fault("delete", "web-0", force=True)]
    faults += [NodeFault(kind, "n1") for kind in NODE_KINDS[:-1]]
    levels = [fault.level for fault in faults]
    assert len(set(levels)) == len(levels)


def test_where() -> None:
    assert Fault("crash", "web-0").pod == ("default", "web-0")
    assert Fault("crash", "shop/web-0").pod == ("shop", "web-0")


@pytest.mark.parametrize(
    ("stat", "state"),
    [
        ("42 (python3) T 1 42 42 0 -1", STOPPED),
        ("42 (a) S) (b) R 1 42", "R"),
        ("42 () Z 1", "Z"),
    ],
)
def test_process_state(stat: str, state: str) -> None:
    assert process_state(stat) == state


@pytest.mark.parametrize("stat", ["", "42 python3 T 1", "42 (python3)"])
def test_what_is_no_process(stat: str) -> None:
    with pytest.raises(ValueError, match="not a line of"):
        process_state(stat)


# Injection

TWO = (Container("echo", "echo"), Container("side", "echo"))


@dataclass
class World:
    """A store with web-0 on n1, and what was done to its processes; a wait takes 500 ns."""

    running: bool = True
    store: Store = field(default_factory=lambda: Store(lambda: 0.0))
    done: list[tuple[str, object]] = field(default_factory=list)
    t_ns: int = 1000

    def __post_init__(self) -> None:
        spec = PodSpec(TWO, node_name="n1")
        status = PodStatus("Running", ("10.244.1.2",), ready=True)
        self.store.apply([Create(Pod(ObjectMeta("web-0", "default"), spec, status))])

    def reach(self) -> Reach:
        return Reach(
            pod=lambda namespace, name: self.store.get(Pod, namespace, name),
            runs=lambda uid, container: self.running,
            signal=lambda uid, container, signum: self.done.append((container, signum)),
            ended=lambda uid, container: self._wait("ended", container),
            stopped=lambda uid, container: self._wait("stopped", container),
            resumed=lambda uid, container: self._wait("resumed", container),
            write=self._write,
            now_ns=lambda: self.t_ns,
        )

    async def _wait(self, what: str, container: str) -> int:
        self.done.append((container, what))
        return self.t_ns + 500

    def _write(self, write: Write) -> Sequence[Change]:
        self.t_ns += 70
        return self.store.apply([write])

    def inject(self, fault: Fault) -> Event:
        return asyncio.run(inject(fault, self.reach()))


PROCESS_FAULTS = [
    ("crash", SIGKILL, "ended"),
    ("hang", SIGSTOP, "stopped"),
    ("heal", SIGCONT, "resumed"),
]


@pytest.mark.parametrize(("kind", "signum", "awaited"), PROCESS_FAULTS)
def test_a_process_fault_is_effective_when_it_was_seen_to_be(
    kind: str, signum: int, awaited: str
) -> None:
    world = World()
    event = world.inject(Fault(kind, "web-0"))
    uid = world.store.get(Pod, "default", "web-0").meta.uid
    assert world.done == [("echo", signum), ("echo", awaited)]
    assert (event.t_ns, event.source, event.kind, event.node) == (1500, "fault", kind, "n1")
    assert event.object == "default/web-0"
    assert event.detail == {
        "pod_ip": "10.244.1.2",
        "uid": uid,
        "level": kind,
        "container": "echo",
    }


def test_another_container_than_the_first() -> None:
    world = World()
    world.inject(Fault("crash", "web-0", container="side"))
    assert world.done[0] == ("side", SIGKILL)


def test_delete_is_effective_with_its_write() -> None:
    world = World()
    event = world.inject(Fault("delete", "web-0", grace_s=4.0))
    meta = world.store.get(Pod, "default", "web-0").meta
    assert meta.deletion_grace_period_s == 4.0
    assert meta.deletion_s == pytest.approx(1e-6)
    assert (event.t_ns, event.resource_version) == (1070, meta.resource_version)
    assert event.detail["level"] == "delete"
    assert world.done == []


def test_a_forced_delete_leaves_no_object() -> None:
    world = World()
    event = world.inject(Fault("delete", "web-0", force=True))
    assert world.store.list(Pod) == ()
    assert (event.detail["level"], event.resource_version) == ("delete --force", 2)


REFUSED: list[tuple[str, Fault, bool, type[Exception], str]] = [
    ("no such pod", Fault("crash", "web-9"), True, NotFound, "web-9"),
    ("no such container", Fault("crash", "web-0", container="x"), True, NotFound, "echo, side"),
    ("nothing to kill", Fault("crash", "web-0"), False, CheckFailed, "does not run"),
    ("nothing to stop", Fault("hang", "web-0"), False, CheckFailed, "does not run"),
    ("no kind at all", Fault("explode", "web-0"), True, UsageError, "is not a fault"),
]


@pytest.mark.parametrize(
    ("fault", "runs", "error", "says"),
    [row[1:] for row in REFUSED],
    ids=[row[0] for row in REFUSED],
)
def test_refused(fault: Fault, runs: bool, error: type[Exception], says: str) -> None:
    world = World(running=runs)
    with pytest.raises(error, match=says):
        world.inject(fault)
    assert world.done == []


def test_a_process_that_never_stops_is_an_error_and_no_event() -> None:
    async def never(uid: str, container: str) -> int:
        raise OutOfTimeOrRoom("web-0 did not stop")

    world = World()
    reach = replace(world.reach(), stopped=never)
    with pytest.raises(OutOfTimeOrRoom):
        asyncio.run(inject(Fault("hang", "web-0"), reach))
