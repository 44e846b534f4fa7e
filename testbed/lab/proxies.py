"""What makes service addresses work on a lab's nodes: what its proxies share, and each as it is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from testbed.clock import now_ns
from testbed.controllers.timing import Delays
from testbed.events import Event, Record
from testbed.ip import IPAddress
from testbed.kernel.run import Shell
from testbed.lab.backends import backend, companion
from testbed.lab.companion import Companions
from testbed.lab.node_proxy import NodeProxy
from testbed.lab.node_watch import NodeWatch
from testbed.lab.planner import Planner
from testbed.lab.proxy_config import proxy_config
from testbed.model.topology import Topology
from testbed.proxy.loop import ProxyLoop
from testbed.proxy.pace import Periods
from testbed.runtime.netns import path_of
from testbed.runtime.processes import Processes
from testbed.store import Store

EXTERNAL = "external"
"""The proxy mode that has no back end of ours."""


@dataclass(frozen=True, slots=True)
class ProxyParts:
    """What proxies need of their lab."""

    topology: Topology
    folder: Path
    store: Store
    processes: Processes
    record: Record
    delays: Delays
    namespace: Callable[[str], int]
    """File descriptor of a node's."""
    address: Callable[[str], IPAddress]
    """A node's primary one."""


class Proxies:
    """Those of a lab's nodes."""

    def __init__(self, parts: ProxyParts) -> None:
        self._parts = parts
        topology = parts.topology
        ours = topology.network.families if topology.proxy.mode != EXTERNAL else ()
        self.backends = {family: backend(topology, family) for family in ours}
        """By IP family, the primary one first; none where the proxy is somebody else's."""
        self._configs = {family: proxy_config(topology, family) for family in ours}
        self._planners = {
            family: Planner(self.backends[family], self._configs[family]) for family in ours
        }
        self.companions = Companions(companion(topology), parts.processes)
        self.watches: dict[str, NodeWatch] = {}
        """What each node's proxy hears of the store."""

    @property
    def label(self) -> str:
        """The mode's label in results, as in `iptables-nft`."""
        return next((one.name for one in self.backends.values()), EXTERNAL)

    def loop(self, node: str, family: int, shell: Shell) -> ProxyLoop:
        """A node's of one IP family, which has not begun."""
        parts = self._parts

        async def again(code: int) -> None:
            detail = {"code": code}
            parts.record(Event(now_ns(), "proxy", node, "process-ended", "", 0, detail))
            await loop.restart()

        settings = parts.topology.proxy
        loop = ProxyLoop(
            self._watch(node),
            node,
            self.backends[family],
            self.companions.access(node, path_of(parts.namespace(node)), shell, again),
            parts.record,
            config=self._configs[family],
            periods=Periods(settings.min_sync_period_s, settings.sync_period_s),
            plan=self._planners[family].plan,
        )
        return loop

    def external(self) -> Callable[[str, int, Shell], NodeProxy] | None:
        """How somebody else's is made, of (node, its namespace, its shell); None in all other modes."""
        parts = self._parts
        if parts.topology.proxy.mode != EXTERNAL:
            return None
        # Only these labs pay for an HTTP server.
        from testbed.lab.external import ExternalNode, ExternalProxies

        proxies = ExternalProxies(parts.topology, parts.folder, parts.processes, parts.record)

        def external(name: str, namespace: int, shell: Shell) -> NodeProxy:
            node = ExternalNode(name, namespace, str(parts.address(name)), shell)
            return proxies.new(node, self._watch(name))

        return external

    def _watch(self, node: str) -> NodeWatch:
        """One for all IP families of a node."""
        return self.watches.setdefault(
            node, NodeWatch(self._parts.store, self._parts.delays.watch_s)
        )
