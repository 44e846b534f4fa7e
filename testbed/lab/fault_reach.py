"""What a fault may touch in a running lab."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from testbed.clock import now_ns, now_s
from testbed.errors import NotFound, OutOfTimeOrRoom, UsageError
from testbed.faults.drain import cordon, drain
from testbed.faults.fault import NodeFault
from testbed.faults.inject import Reach
from testbed.faults.inject_node import NodeReach
from testbed.faults.process_state import STOPPED, process_state
from testbed.lab.cluster import Cluster
from testbed.lab.docker_container import DockerContainer
from testbed.lab.names import find, require_live
from testbed.lab.programs import SharedPod
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import Pod
from testbed.runtime.interface import ContainerState
from testbed.runtime.netns import NetnsRuntime, Started

_PATIENCE_S = 30.0
_LOOK_S = 0.0002


def reach(cluster: Cluster) -> Reach:
    """The callables that `faults.inject` is handed."""

    def runtime_of(uid: str) -> NetnsRuntime:
        for node in cluster.nodes.values():
            if uid in node.runtime.pods():
                return node.runtime
        for pod in cluster.store.list(Pod):
            if pod.meta.uid == uid:
                require_live(pod.spec.node_name, cluster.store.snapshot())
        raise NotFound("the pod has no sandbox", "it has not started, or has ended")

    def state(uid: str, container: str) -> ContainerState | None:
        return runtime_of(uid).containers(uid).get(container)

    def runs(uid: str, container: str) -> bool:
        now = state(uid, container)
        return now is not None and now.running

    def signal(uid: str, container: str, signum: int) -> None:
        runtime = runtime_of(uid)
        if any(isinstance(started, SharedPod) for started in runtime.started(uid).values()):
            raise UsageError(
                "this pod shares its server process with others: a signal would hit them all",
                "give its workload `server: process`",
            )
        runtime.signal(uid, container, signum)

    async def ended(uid: str, container: str) -> int:
        started = runtime_of(uid).started(uid)[container]
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await started.ended()
        except TimeoutError:
            raise OutOfTimeOrRoom(f"the process did not end in {_PATIENCE_S:g} s") from None
        finished_ns = started.state().finished_ns
        return now_ns() if finished_ns is None else finished_ns

    async def until(uid: str, container: str, *, stopped: bool) -> int:
        now = state(uid, container)
        if now is None:
            raise NotFound("the container has ended")
        deadline_ns = now_ns() + int(_PATIENCE_S * 1e9)
        started = runtime_of(uid).started(uid)[container]
        while (_state(started) == STOPPED) is not stopped:
            if now_ns() > deadline_ns:
                raise OutOfTimeOrRoom(f"the process did not change state in {_PATIENCE_S:g} s")
            await asyncio.sleep(_LOOK_S)
        return now_ns()

    return Reach(
        pod=lambda namespace, name: cluster.store.get(Pod, namespace, name),
        runs=runs,
        signal=signal,
        ended=ended,
        stopped=lambda uid, container: until(uid, container, stopped=True),
        resumed=lambda uid, container: until(uid, container, stopped=False),
        write=lambda write: cluster.store.apply([write]),
        now_ns=now_ns,
    )


def _state(started: Started) -> str:
    try:
        if isinstance(started, DockerContainer):
            return process_state(started.stat())
        return process_state(Path(f"/proc/{started.state().pid}/stat").read_text())
    except FileNotFoundError:
        raise NotFound("the process has ended") from None


def node_reach(cluster: Cluster, name: str) -> NodeReach:
    """The callables that `faults.inject_node` is handed. All but `boot` are for a node that runs."""
    if name in cluster.power.off:
        return _stopped_reach(cluster, name)
    node, watch = cluster.node(name), cluster.watches[name]
    loops = tuple(node.proxies.values())

    async def stall() -> int:
        return max(await asyncio.gather(*(loop.stall() for loop in loops)))

    def resume() -> bool:
        was = any(loop.stalled for loop in loops)
        for loop in loops:
            loop.resume()
        return was

    async def restart() -> int:
        watch.relist()
        if node.http is not None:
            node.http.forget()
        return max(await asyncio.gather(*(loop.restart() for loop in loops)))

    def drain_now(fault: NodeFault) -> tuple[int, Sequence[Pod]]:
        writes, pods = drain(fault, cluster.store.snapshot(), now_s())
        cluster.store.apply(writes)
        return cluster.store.resource_version, pods

    return NodeReach(
        delay_watch=watch.delay,
        restore_watch=watch.restore,
        stall=stall,
        resume=resume,
        restart=restart,
        stop=lambda: cluster.stop_node(name),
        boot=lambda: cluster.boot_node(name),
        drain=drain_now,
        uncordon=lambda: uncordon(cluster, name),
        mend_links=lambda: cluster.link_faults.mend(name),
        pods=lambda: [pod for pod in cluster.store.list(Pod) if pod.spec.node_name == name],
        resource_version=lambda: watch.snapshot().resource_version,
        now_ns=now_ns,
    )


def uncordon(cluster: Cluster, name: str) -> bool:
    """Whether a node was cordoned that the topology has not cordoned."""
    node = cluster.store.snapshot().get(Node, "", name)
    if node is None or not node.unschedulable or cluster.topology.nodes[name].unschedulable:
        return False
    cluster.store.apply(cordon(node, cordoned=False))
    return True


def _stopped_reach(cluster: Cluster, name: str) -> NodeReach:
    """Of a node without power: each callable but `boot` raises CheckFailed."""

    def refuse(*_: Any) -> Any:
        cluster.power.require(name)

    async def refuse_later() -> Any:
        cluster.power.require(name)

    return NodeReach(
        delay_watch=refuse,
        restore_watch=refuse,
        stall=refuse_later,
        resume=refuse,
        restart=refuse_later,
        stop=refuse_later,
        boot=lambda: cluster.boot_node(name),
        drain=refuse,
        uncordon=lambda: uncordon(cluster, name),
        mend_links=lambda: cluster.link_faults.mend(name),
        pods=lambda: (),
        resource_version=lambda: 0,
        now_ns=now_ns,
    )


def target_of(cluster: Cluster, where: str) -> tuple[str, Pod | None]:
    """What a fault's WHERE names: a node, or (where the pod is not None) a pod.

    Raises NotFound, UsageError for an outside host.
    """
    kind, name, pod = find(where, cluster.store.snapshot(), cluster.machines())
    if kind == "host":
        raise UsageError(f"{name} is an outside host", "faults are for pods and nodes")
    return name, pod
