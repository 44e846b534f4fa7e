"""What contradicts itself where CNI plug-ins wire the pods."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.model import conflist, fakes
from testbed.model.conflist_file import KEY
from testbed.model.fields import Mistake
from testbed.model.topology import Topology


def mistakes(topology: Topology) -> Iterator[Mistake]:
    """What is wrong with the configuration list, by itself and in this topology."""
    written = topology.network.cni.conflist
    if written is None:
        return
    found = conflist.mistakes_of(written)
    yield from (mistake.below(KEY) for mistake in found)
    if found:
        return
    if topology.network.sticky_ips:
        message = "pods' addresses are the plug-ins' to give out"
        yield Mistake(("network", "stickyIPs"), message, "leave it out, or the conflist")
    live = [node for node in fakes.nodes(topology) if not node.spec.fake]
    if len(live) > 1:
        for path, subnet in conflist.same_everywhere(conflist.network_list(written).plugins):
            message = f"{subnet} is the range of every node, so pods would have the same addresses"
            yield Mistake((*KEY, *path), message, 'write "{{.PodCIDR}}": each node\'s own')
