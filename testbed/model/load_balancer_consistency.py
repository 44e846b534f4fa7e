"""What contradicts itself between `loadBalancer:` and the networks, links and services of a topology."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from testbed.errors import UsageError
from testbed.ip import FAMILY_NAMES
from testbed.model import link_consistency
from testbed.model.address_range import AddressRange, address_range
from testbed.model.addressing import AddressPlan, plan_addresses
from testbed.model.fields import Mistake, Path
from testbed.model.load_balancer import asked_by
from testbed.model.topology import Topology
from testbed.model.wiring import Wiring, wiring
from testbed.spelling import nearest

Places = list[tuple[Path, AddressRange]]
"""Ranges, and where they stand."""


def mistakes(topology: Topology) -> Iterator[Mistake]:
    """In the order of the checks below."""
    balancer = topology.load_balancer
    if balancer.provider == "none":
        return
    places = _places(topology)
    found = [*_foreign_families(topology, places), *_overlaps(topology, places)]
    yield from found
    yield from _outside_of_pools(topology, places)
    yield from _answers_on_every_node(topology)
    if balancer.provider == "cloud" or any(link_consistency.mistakes(topology)):
        return  # what links say is to be put right first
    try:
        plan = plan_addresses(topology)
    except UsageError:
        return  # said elsewhere
    wrong = {mistake.path for mistake in found}
    places = [(path, one) for path, one in places if path not in wrong]
    wired = wiring(topology)
    if balancer.provider == "l2":
        yield from _nobody_asks(wired, plan, places)
        yield from _taken(plan, places)
    else:
        yield from _asked_for_by_arp(plan, places)
        yield from _nobody_hears(topology, wired)


def _places(topology: Topology) -> Places:
    balancer = topology.load_balancer
    if balancer.addresses:
        top: Path = ("loadBalancer", "addresses")
        return [((*top, index), one) for index, one in enumerate(balancer.addresses)]
    return [
        (("loadBalancer", "pools", name, "addresses", index), one)
        for name, pool in balancer.pools.items()
        for index, one in enumerate(pool.addresses)
    ]


def _foreign_families(topology: Topology, places: Places) -> Iterator[Mistake]:
    for path, one in places:
        if one.family not in topology.network.families:
            message = f"{one} is {FAMILY_NAMES[one.family]}, which this cluster has none of"
            yield Mistake(path, message, "give podCIDR that family, too, or leave the range out")


def _overlaps(topology: Topology, places: Places) -> Iterator[Mistake]:
    network = topology.network
    for key, others in (("podCIDR", network.pod_cidrs), ("serviceCIDR", network.service_cidrs)):
        for path, one in places:
            for other in others:
                if one.overlaps(address_range(str(other))):
                    message = f"{one} overlaps {key} {other}"
                    yield Mistake(path, message, "use addresses that nothing else has")


def _outside_of_pools(topology: Topology, places: Places) -> Iterator[Mistake]:
    balancer = topology.load_balancer
    for name, spec in topology.services.items():
        if spec.kind != "LoadBalancer" or spec.load_balancer_class != balancer.load_balancer_class:
            continue
        where: Path = ("services", name, "annotations")
        pool = asked_by(spec.annotations, "address-pool")
        if pool and pool not in balancer.all_pools:
            meant = nearest(pool, balancer.all_pools)
            hint = (
                f"did you mean {meant}?" if meant else f"there is {', '.join(balancer.all_pools)}"
            )
            yield Mistake(where, f"loadBalancer has no pool {pool}", hint)
        asked = asked_by(spec.annotations, "loadBalancerIPs").split(",")
        wishes = ((("services", name, "loadBalancerIP"), spec.load_balancer_ip),)
        for path, wanted in (*wishes, *((where, one.strip()) for one in asked)):
            if wanted and not _is_in(wanted, places):
                message = f"{wanted} is in no pool of loadBalancer"
                yield Mistake(path, message, "ask for one that is")


def _is_in(wanted: str, places: Places) -> bool:
    try:
        return any(ip_address(wanted) in one for _, one in places)
    except ValueError:
        return False


def _answers_on_every_node(topology: Topology) -> Iterator[Mistake]:
    """MetalLB's own requirement: mode ipvs has service addresses on an interface of every node. (All but those
    of a balancer that ends connections, with ipMode Proxy.)
    """
    proxy, balancer = topology.proxy, topology.load_balancer
    answers = proxy.mode == "ipvs" and not proxy.ipvs.strict_arp
    in_segment = balancer.provider == "l2" or (
        balancer.provider == "cloud" and balancer.cloud.program != "haproxy"
    )
    if answers and in_segment:
        message = "in mode ipvs every node's kernel answers ARP for all service addresses"
        yield Mistake(("proxy", "mode"), message, "say proxy: {ipvs: {strictARP: true}}")


def _nobody_asks(wired: Wiring, plan: AddressPlan, places: Places) -> Iterator[Mistake]:
    """An address is asked for in the segment that it is of."""
    with_nodes = {
        segment.name
        for segment in wired.segments
        if any(wired.kinds[port.machine] == "node" for port in segment.ports)
    }
    networks = [net for name in plan.segments if name in with_nodes for net in plan.segments[name]]
    for path, one in places:
        if not any(one.first in network and one.last in network for network in networks):
            told = ", ".join(map(str, networks))
            message = f"{one} is in no network of the nodes ({told}): nobody asks for it there"
            yield Mistake(path, message, "use addresses of theirs, or provider: bgp")


def _taken(plan: AddressPlan, places: Places) -> Iterator[Mistake]:
    """By machines, or by the control plane, which has the first address of its segment."""
    owners = {
        ip_address(ip): f"{machine}'s address"
        for machine, interfaces in plan.interfaces.items()
        for interface in interfaces
        for ip in interface.ips
    }
    for network in (net for networks in plan.segments.values() for net in networks):
        owners.setdefault(network[1], "the control plane's address")
        if network.version == 4:
            owners.setdefault(network[-1], "the broadcast address")
    for path, one in places:
        for ip, owner in owners.items():
            if ip in one:
                yield Mistake(path, f"{one} has {owner}, {ip}", "use addresses that nothing has")
                break


def _asked_for_by_arp(plan: AddressPlan, places: Places) -> Iterator[Mistake]:
    for path, one in places:
        for network in (net for networks in plan.segments.values() for net in networks):
            if one.overlaps(address_range(str(network))):
                message = f"{one} overlaps {network}: machines there ask for it by ARP, not routers"
                yield Mistake(path, message, "use addresses of no segment, or provider: l2")


def _nobody_hears(topology: Topology, wired: Wiring) -> Iterator[Mistake]:
    for segment in wired.segments:
        machines = {port.machine for port in segment.ports}
        speaks = any(name in topology.routers and topology.routers[name].asn for name in machines)
        if speaks and any(wired.kinds[name] == "node" for name in machines):
            return
    message = "no router with an asn is on a link of a node: nobody hears of addresses"
    hint = "give a router of the nodes' segment one, as in routers: {tor: {asn: 65001}}"
    yield Mistake(("loadBalancer", "provider"), message, hint)
