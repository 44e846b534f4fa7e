"""What is drawn: a topology, the cluster state it stands for or has reached, and who was picked so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from testbed.lab.foreseen import foreseen
from testbed.lab.proxy_config import proxy_config
from testbed.model import fakes
from testbed.model.objects.metadata import name_of
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import Pod
from testbed.model.topology import Topology
from testbed.proxy.table import ForwardingTable, forwarding_table
from testbed.proxy.userspace_balancer import BUILT_IN
from testbed.store import Snapshot

Picked = Mapping[str, Mapping[str, int]]
"""Service port (`default/web:http`) -> endpoint (`10.244.1.2:8080`) -> new connections."""

RANDOM = ("iptables", "nftables")
"""Modes that draw anew for every connection."""


@dataclass(frozen=True)
class Scene:
    """`live`: a lab's; else what the topology's lab would settle in."""

    name: str
    topology: Topology
    snapshot: Snapshot
    live: bool = False
    picked: Picked = field(default_factory=dict)

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Those that run, in the topology's order."""
        return tuple(
            self._known[name] for name in fakes.live_nodes(self.topology) if name in self._known
        )

    @cached_property
    def fakes(self) -> Mapping[str, tuple[Node, ...]]:
        """The fake ones, by their entry in the topology."""
        found: dict[str, list[Node]] = {}
        for one in fakes.nodes(self.topology):
            if one.spec.fake and one.name in self._known:
                found.setdefault(one.key, []).append(self._known[one.name])
        return {key: tuple(nodes) for key, nodes in found.items()}

    @cached_property
    def _known(self) -> Mapping[str, Node]:
        return {node.meta.name: node for node in self.snapshot.list(Node)}

    @cached_property
    def entries(self) -> Mapping[str, str]:
        """Fake node -> the entry that it is one of."""
        return {node.meta.name: key for key, nodes in self.fakes.items() for node in nodes}

    @cached_property
    def pods(self) -> Mapping[str, tuple[Pod, ...]]:
        """Node -> its pods by name; those on no node are under ""."""
        found: dict[str, list[Pod]] = {}
        for pod in sorted(self.snapshot.list(Pod), key=name_of):
            found.setdefault(pod.spec.node_name, []).append(pod)
        return {node: tuple(pods) for node, pods in found.items()}

    @cached_property
    def tables(self) -> tuple[ForwardingTable, ...]:
        """What every node forwards, of each IP family: nodes in order, the primary family first."""
        found: list[ForwardingTable] = []
        for family in self.topology.network.families:
            config, table = proxy_config(self.topology, family), None
            for node in self.nodes:
                table = forwarding_table(
                    self.snapshot, config, node.meta.name, previous=table, shared=table
                )
                found.append(table)
        return tuple(found)

    @property
    def how_picked(self) -> str:
        """How this proxy mode picks, in a sentence."""
        proxy = self.topology.proxy
        if proxy.mode in RANDOM:
            return f"{proxy.mode}: every node draws at random for each new connection"
        if proxy.mode == "ipvs":
            return f"ipvs: every node picks by its scheduler {proxy.ipvs.scheduler}, all weights 1"
        if proxy.mode == "userspace":
            return f"userspace: every node's proxy picks, balancer {proxy.userspace.balancer}"
        return "external: how this proxy picks is its own business; shares are not known"

    @property
    def shares_known(self) -> bool:
        """Whether, in the long run, each usable endpoint of a node gets an equal share."""
        proxy = self.topology.proxy
        if proxy.mode == "ipvs":
            return proxy.ipvs.scheduler in {"rr", "wrr"}
        if proxy.mode == "userspace":
            return proxy.userspace.balancer in BUILT_IN
        return proxy.mode in RANDOM


def scene_of(topology: Topology) -> Scene:
    """The scene of a topology of which no lab runs. Raises as `foreseen`."""
    return Scene(topology.name, topology, foreseen(topology))
