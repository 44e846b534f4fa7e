"""What contradicts itself in a topology's `dns`."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.model.fields import Mistake
from testbed.model.topology import Topology
from testbed.spelling import nearest


def mistakes(topology: Topology) -> Iterator[Mistake]:
    """Of the zone outside."""
    outside, domain = topology.dns.outside, topology.dns.domain
    if outside is None:
        return
    path = ("dns", "outside")
    if outside.host and outside.host not in topology.hosts:
        meant = nearest(outside.host, topology.hosts)
        hint = f"did you mean {meant}?" if meant else "name one of hosts, or leave it out"
        yield Mistake((*path, "host"), f"no outside host {outside.host}", hint)
    elif (
        outside.host
        and topology.network.cni.routes == "host-gw"
        and not topology.network.masquerades
    ):
        message = (
            f"{outside.host} has no way back to the DNS pods, which ask it for all other names"
        )
        hint = "let nodes hide their pods (network.ipMasq: true), or leave it out"
        yield Mistake((*path, "host"), message, hint)
    one, other = f".{outside.zone}", f".{domain}"
    if one.endswith(other) or other.endswith(one):
        message = f"{outside.zone} and the cluster's domain {domain} are in each other"
        yield Mistake((*path, "zone"), message, "use names like example.test and cluster.local")
