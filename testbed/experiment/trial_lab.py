"""What a trial drives: a lab that keeps a record of everything that is done to it."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from testbed.errors import OutOfTimeOrRoom
from testbed.events import Event
from testbed.experiment.beside import Beside, Executes
from testbed.experiment.subjects import Subject, live_nodes, subject_of
from testbed.ip import FAMILY_NAMES, family_of
from testbed.model.topology import Topology
from testbed.traffic.reachability import Reach
from testbed.traffic.spec import LoadSpec

READY_S = 60.0
"""How long backends may take to be ready, and generators to start."""


class LoadResult(Protocol):
    """A load that has ended."""

    @property
    def summary(self) -> Mapping[str, Any]: ...
    @property
    def samples(self) -> Path: ...
    @property
    def started_ns(self) -> int: ...


class LoadHandle(Protocol):
    """A load that runs."""

    def wait(self, on_progress: Callable[[Any], None] = ...) -> LoadResult: ...
    def stop(self) -> None: ...


class Recording(Protocol):
    """What the kernel of a lab said while it was recorded."""

    @property
    def entries(self) -> Path: ...
    @property
    def accept_logs(self) -> Mapping[str, Path]: ...
    @property
    def picks(self) -> Sequence[tuple[str, Path]]: ...
    @property
    def lost(self) -> int: ...
    @property
    def counters(self) -> Mapping[str, Any]: ...


class Lab(Protocol):
    """The part of `testbed.lab.client.Lab` that experiments need."""

    def inspect(self) -> dict[str, Any]: ...
    def now_ns(self) -> int: ...
    def start_load(self, spec: LoadSpec) -> LoadHandle: ...
    def fault(self, kind: str, *where: str, **options: Any) -> Event: ...
    def heal(self, *where: str) -> Any: ...
    def events(self, since_ns: int = 0) -> list[Event]: ...
    def wait_event(self, predicate: Callable[[Event], bool], timeout_s: float) -> Event: ...
    def rules(self, node: str) -> str: ...
    def ca_certificate(self) -> str: ...
    def exec(
        self, where: str, argv: Sequence[str], timeout_s: float = ...
    ) -> subprocess.CompletedProcess[str]: ...
    def another(self) -> Executes: ...
    def topology(self) -> dict[str, Any]: ...
    def change(self, topology: Topology) -> None: ...
    def label(self, where: str, labels: Mapping[str, str]) -> None: ...
    def reachability(
        self, sources: Sequence[str] = ..., targets: Sequence[str] = ..., timeout_s: float = ...
    ) -> tuple[Reach, ...]: ...
    def paths(
        self, client: str, ways: Mapping[str, Mapping[str, Any]], **settings: Any
    ) -> list[dict[str, Any]]: ...
    def start_recording(self) -> None: ...
    def stop_recording(self) -> Recording: ...
    def down(self) -> None: ...


@dataclass(frozen=True, slots=True)
class FinishedLoad:
    """A load as asked for, and where its samples are."""

    spec: LoadSpec
    result: LoadResult


class RunningLoad:
    """A load under way, listened to by a thread of its own."""

    def __init__(self, spec: LoadSpec, handle: LoadHandle) -> None:
        self.spec = spec
        self._handle = handle
        self._begun = threading.Event()
        self._result: Future[LoadResult] = Future()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        try:
            self._result.set_result(self._handle.wait(self._hear))
        except BaseException as error:  # whoever waits gets it, whatever it is
            self._result.set_exception(error)
        self._begun.set()

    def _hear(self, progress: Mapping[str, Any]) -> None:
        if "started_ns" in progress:
            self._begun.set()

    def await_start(self, timeout_s: float) -> None:
        """Return when requests may leave, or it has ended. Raises OutOfTimeOrRoom."""
        if not self._begun.wait(timeout_s):
            raise OutOfTimeOrRoom(f"a load from {self.spec.source} did not start in {timeout_s} s")

    def stop(self) -> None:
        """End it now; what is in flight is recorded as censored."""
        self._handle.stop()

    def wait(self) -> LoadResult:
        """Its result; asked again, the same one. Raises what the load raised.

        Raises OutOfTimeOrRoom where it goes on long after its end.
        """
        spec = self.spec
        longest_s = spec.duration_s + spec.timeout_s + spec.drain_s + READY_S
        try:
            return self._result.result(longest_s)
        except TimeoutError:
            raise OutOfTimeOrRoom(f"a load from {spec.source} did not end") from None


class TrialLab:
    """A lab for one trial: loads, faults and events record themselves (docs/experiments.md)."""

    def __init__(self, lab: Lab, generator_cpu: int | None = None) -> None:
        self._lab = lab
        self._cpu = generator_cpu
        self._loads: list[RunningLoad] = []
        self._notes: list[Event] = []

    def subject(self) -> Subject:
        """The service that the lab is about, its backends, and the pods that call it.

        Waits until every backend is in service on every node; where the proxy is somebody else's, which does
        not say so, until every backend is an endpoint. Raises OutOfTimeOrRoom.
        """
        view = self._lab.inspect()
        subject = subject_of(view)
        nodes = [node["name"] for node in live_nodes(view) if view["proxy"] != "external"]
        joined = [
            self.wait_event(partial(_is_endpoint, ip=pod.ip), READY_S) for pod in subject.backends
        ]
        last = max(joined, key=lambda event: event.resource_version)
        for node in nodes:
            self.wait_event(partial(has_programmed, node=node, write=last), READY_S)
        return subject

    def start_loads(self, *specs: LoadSpec) -> tuple[RunningLoad, ...]:
        """Start traffic side by side; returns when every generator is at work.

        A spec's `label` becomes the `stream` of its samples. Raises OutOfTimeOrRoom.
        """
        started = tuple(self._start(spec) for spec in specs)
        for load in started:
            load.await_start(READY_S)
        return started

    def _start(self, spec: LoadSpec) -> RunningLoad:
        if spec.cpu is None:
            spec = replace(spec, cpu=self._cpu)
        load = RunningLoad(spec, self._lab.start_load(spec))
        self._loads.append(load)
        return load

    def load(self, *specs: LoadSpec) -> None:
        """Run traffic side by side until the last of it has ended."""
        for running in self.start_loads(*specs):
            running.wait()

    def finished_loads(self) -> list[FinishedLoad]:
        """Waits for all loads of the trial; returns them with their samples."""
        return [FinishedLoad(load.spec, load.wait()) for load in self._loads]

    def inspect(self) -> dict[str, Any]:
        """Nodes, pods, services and endpoints now (DESIGN.md, `inspect`)."""
        return self._lab.inspect()

    def now_ns(self) -> int:
        """CLOCK_MONOTONIC of the lab's kernel."""
        return self._lab.now_ns()

    def fault(self, kind: str, *where: str, **options: Any) -> Event:
        """Make something go wrong; the event's `t_ns` is when it was effective."""
        return self._lab.fault(kind, *where, **options)

    def heal(self, *where: str) -> None:
        """Take a fault back."""
        self._lab.heal(*where)

    def events(self, since_ns: int = 0) -> list[Event]:
        """What has happened so far."""
        return self._lab.events(since_ns)

    def wait_event(self, predicate: Callable[[Event], bool], timeout_s: float) -> Event:
        """The first event, past or to come, that `predicate` accepts. Raises OutOfTimeOrRoom."""
        return self._lab.wait_event(predicate, timeout_s)

    def await_programmed(self, kind: str, ip: str, since_ns: int, timeout_s: float) -> None:
        """Return when the rules of every node that runs hold an EndpointSlice write about a pod's address.

        `kind` is endpoint-ready or endpoint-not-ready; the write is the first one from `since_ns` on.
        Raises OutOfTimeOrRoom where it, or a node, takes longer than `timeout_s`.
        """
        nodes = [node["name"] for node in live_nodes(self.inspect())]
        is_meant = partial(is_write, kind=kind, ip=ip, since_ns=since_ns)
        write = self.wait_event(is_meant, timeout_s)
        for node in nodes:
            self.wait_event(partial(has_programmed, node=node, write=write), timeout_s)

    def note(self, kind: str, **detail: Any) -> None:
        """Record something that the trial itself measured, as an event of source `trial`."""
        self._notes.append(Event(self._lab.now_ns(), "trial", "", kind, "", 0, detail))

    @property
    def notes(self) -> tuple[Event, ...]:
        """What `note` has recorded."""
        return tuple(self._notes)

    def pause(self, seconds: float) -> None:
        """Let the lab run by itself for a while."""
        time.sleep(seconds)

    def rules(self, node: str) -> str:
        """The service rules in the node's kernel now."""
        return self._lab.rules(node)

    def ca_certificate(self) -> str:
        """Of the lab's own authority, which signs what an ingress controller shows: PEM."""
        return self._lab.ca_certificate()

    def exec(
        self, where: str, argv: Sequence[str], timeout_s: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on a node, pod or outside host."""
        return self._lab.exec(where, argv, timeout_s=timeout_s)

    def begin(self, where: str, argv: Sequence[str], timeout_s: float = 60.0) -> Beside:
        """As `exec`, but beside what the trial does next."""
        return Beside(self._lab.another(), where, argv, timeout_s)

    def apply(self, change: Callable[[Topology], Topology]) -> None:
        """Change the running lab's topology; returns when every pod answers and every node's rules are in
        place. Raises UsageError for what cannot change while it runs, OutOfTimeOrRoom.
        """
        self._lab.change(change(self.topology()))

    def reachability(
        self, sources: Sequence[str] = (), targets: Sequence[str] = (), timeout_s: float = 3.0
    ) -> tuple[Reach, ...]:
        """Who reaches whom (see `Lab.reachability`): left out, everybody."""
        return self._lab.reachability(sources, targets, timeout_s)

    def paths(
        self, client: str, ways: Mapping[str, Mapping[str, Any]], **settings: Any
    ) -> list[dict[str, Any]]:
        """Latency and throughput of ways, in turn with two plain namespaces (see `Lab.paths`)."""
        return self._lab.paths(client, ways, **settings)

    def topology(self) -> Topology:
        """What the lab was last asked to be."""
        return Topology.model_validate(self._lab.topology())

    def label(self, where: str, **labels: str) -> None:
        """Give a running pod labels, beside those that it has; returns when the store holds them."""
        self._lab.label(where, labels)


def is_write(event: Event, kind: str, ip: str, since_ns: float) -> bool:
    """Whether the event is an EndpointSlice write about a pod's address, from that instant on: `kind` is
    endpoint-ready or endpoint-not-ready.
    """
    is_kind = (event.source, event.kind) == ("store", kind)
    return is_kind and event.t_ns >= since_ns and event.detail.get("pod_ip") == ip


def _is_endpoint(event: Event, ip: str) -> bool:
    is_ready = (event.source, event.kind) == ("store", "endpoint-ready")
    return is_ready and event.detail.get("pod_ip") == ip


def has_programmed(event: Event, node: str, write: Event) -> bool:
    """Whether the event says that the node's rules hold what `write` says: an endpoint's coming or going.

    Each IP family has a proxy of its own; that of the endpoint's address counts.
    """
    family = FAMILY_NAMES[family_of(write.detail["pod_ip"])]
    return (
        (event.source, event.kind, event.node) == ("proxy", "sync", node)
        and event.detail["ip_family"] == family
        and event.resource_version >= write.resource_version
        and not event.detail.get("error")
    )
