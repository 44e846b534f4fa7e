"""A lab's fake nodes: their kubelet begins with the first of them; labs without any pay nothing for it."""

from __future__ import annotations

from testbed.clock import now_s
from testbed.controllers.decision import Controller
from testbed.controllers.fake_kubelet import FakeDelays, controller
from testbed.controllers.fake_ranges import Ranges
from testbed.controllers.loop import ControllerLoop
from testbed.controllers.timing import Delays
from testbed.model import fakes
from testbed.model.addressing import pod_prefix
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import Pod
from testbed.model.topology import Topology
from testbed.store import Change, Delete, Store, Write


class Fakes:
    """Follows the store: a topology's fake nodes are there at once, a client may make one at any time."""

    def __init__(self, store: Store, topology: Topology, delays: Delays) -> None:
        self.controllers: tuple[Controller, ...] = ()
        """Who has to have nothing to write for the lab to be settled."""
        self._store = store
        self._timing = FakeDelays(topology.timing.fake_start_s, topology.timing.fake_stop_s)
        self._delays = delays
        network = topology.network
        count = sum(1 for _ in fakes.nodes(topology))
        prefixes = tuple(pod_prefix(pods, count) for pods in network.pod_cidrs)
        self._ranges = Ranges(network.node_cidrs, network.pod_cidrs, prefixes)
        self._cancel = store.watch(self._changed)

    def _changed(self, changes: tuple[Change, ...]) -> None:
        if any(isinstance(one.object, Node) and fakes.is_fake(one.object) for one in changes):
            self._cancel()
            self.controllers = (controller(self._timing, self._ranges),)
            ControllerLoop(self._store, self.controllers, now_s, self._delays).start()

    def leaving(self, before: Topology | None, after: Topology) -> list[Write]:
        """What deletes the pods of the nodes that were fake and are so no more: no kubelet will."""
        gone = _names(before) - _names(after)
        return (
            [
                Delete(pod.kind, pod.meta.namespace, pod.meta.name, pod.meta.uid)
                for pod in self._store.list(Pod)
                if pod.spec.node_name in gone
            ]
            if gone
            else []
        )


def _names(topology: Topology | None) -> set[str]:
    nodes = fakes.nodes(topology) if topology is not None else ()
    return {one.name for one in nodes if one.spec.fake}
