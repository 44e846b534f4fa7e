"""What makes service addresses work on a lab's nodes: what its proxies share, and each as it is made."""

from __future__ import annotations

from collections.abc import Callable

from testbed.clock import now_ns
from testbed.events import Event
from testbed.ip import IPAddress
from testbed.kernel.run import Shell
from testbed.lab.backends import backend, companion
from testbed.lab.companion import Companions
from testbed.lab.node_proxy import NodeProxy
from testbed.lab.node_watch import NodeWatch
from testbed.lab.planner import Planner
from testbed.lab.proxy_config import proxy_config
from testbed.lab.setting import Setting
from testbed.proxy.loop import ProxyLoop
from testbed.proxy.pace import Periods
from testbed.runtime.netns import path_of

EXTERNAL = "external"
"""The proxy mode that has no back end of ours."""


class Proxies:
    """Those of a lab's nodes. `namespace`: file descriptor of a node's; `address`: its primary one."""

    def __init__(
        self,
        setting: Setting,
        namespace: Callable[[str], int],
        address: Callable[[str], IPAddress],
    ) -> None:
        self._setting = setting
        self._namespace = namespace
        self._address = address
        topology = setting.topology
        ours = topology.network.families if topology.proxy.mode != EXTERNAL else ()
        self.backends = {family: backend(topology, family) for family in ours}
        """By IP family, the primary one first; none where the proxy is somebody else's."""
        self._configs = {family: proxy_config(topology, family) for family in ours}
        self._planners = {
            family: Planner(self.backends[family], self._configs[family]) for family in ours
        }
        self.companions = Companions(companion(topology), setting.processes)
        self.watches: dict[str, NodeWatch] = {}
        """What each node's proxy hears of the store."""

    @property
    def label(self) -> str:
        """The mode's label in results, as in `iptables-nft`."""
        return next((one.name for one in self.backends.values()), EXTERNAL)

    def loop(self, node: str, family: int, shell: Shell) -> ProxyLoop:
        """A node's of one IP family, which has not begun."""
        setting = self._setting

        async def again(code: int) -> None:
            detail = {"code": code}
            setting.record(Event(now_ns(), "proxy", node, "process-ended", "", 0, detail))
            await loop.restart()

        proxy = setting.topology.proxy
        loop = ProxyLoop(
            self._watch(node),
            node,
            self.backends[family],
            self.companions.access(node, path_of(self._namespace(node)), shell, again),
            setting.record,
            config=self._configs[family],
            periods=Periods(proxy.min_sync_period_s, proxy.sync_period_s),
            plan=self._planners[family].plan,
        )
        return loop

    def external(self) -> Callable[[str, int, Shell], NodeProxy] | None:
        """How somebody else's is made, of (node, its namespace, its shell); None in all other modes."""
        setting = self._setting
        if setting.topology.proxy.mode != EXTERNAL:
            return None
        # Only these labs pay for an HTTP server.
        from testbed.lab.external import ExternalNode, ExternalProxies

        proxies = ExternalProxies(
            setting.topology, setting.folder, setting.processes, setting.record
        )

        def external(name: str, namespace: int, shell: Shell) -> NodeProxy:
            node = ExternalNode(name, namespace, str(self._address(name)), shell)
            return proxies.new(node, self._watch(name))

        return external

    def _watch(self, node: str) -> NodeWatch:
        """One for all IP families of a node."""
        return self.watches.setdefault(
            node, NodeWatch(self._setting.store, self._setting.delays.watch_s)
        )
