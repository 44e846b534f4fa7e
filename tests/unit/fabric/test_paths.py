"""Static routes: everybody reaches everybody's addresses, by shortest ways, in no circle."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from testbed.fabric.machine import Fabric, Machine, Route
from testbed.ip import IPAddress
from tests.unit.fabric.test_plan import FAMILIES, linked

SPINE = linked(
    "n1-ra", "n2-ra", "h1-rb", "n3-rb", "ra-rs", "ra-rt", "rb-rs", "rb-rt"
)  # two racks under two spines


def ways(fabric: Fabric, source: str, target: IPAddress) -> set[tuple[str, ...]]:
    """All ways that packets may take: the machines they meet. Fails where there is none, or a circle."""
    owners = {
        address.ip: machine for machine in fabric.machines for address in machine.all_addresses
    }

    def onward(way: tuple[Machine, ...]) -> Iterator[tuple[Machine, ...]]:
        here = way[-1]
        if any(target == address.ip for address in here.all_addresses):
            yield way
            return
        assert len(way) == 1 or here.kind == "router", f"{here.name} forwards"
        assert len(set(way)) == len(way), f"in a circle: {[one.name for one in way]}"
        for hop in next_hops(here, target) or [target]:
            yield from onward((*way, owners[hop]))

    return {tuple(one.name for one in way) for way in onward((fabric.machine(source),))}


def next_hops(machine: Machine, target: IPAddress) -> list[IPAddress]:
    """By the longest prefix; none: it is in a segment of its own."""
    if any(target in address.network for address in machine.all_addresses):
        return []
    fitting = [route for route in machine.routes if target in route.destination]
    assert fitting, f"{machine.name} has no route to {target}"
    longest = max(route.destination.prefixlen for route in fitting)
    return [route.via for route in fitting if route.destination.prefixlen == longest]


def test_equal_ways_share_the_flows() -> None:
    n3 = SPINE.machine("n3").addresses[0].ip
    assert ways(SPINE, "n1", n3) == {("n1", "ra", "rs", "rb", "n3"), ("n1", "ra", "rt", "rb", "n3")}


def test_a_rack_of_its_own_is_not_left() -> None:
    assert ways(SPINE, "n1", SPINE.machine("n2").addresses[0].ip) == {("n1", "ra", "n2")}


def test_only_routers_have_routes_to_each_segment() -> None:
    kinds = {machine.kind: len(machine.routes) for machine in SPINE.machines}
    assert (kinds["node"], kinds["host"]) == (1, 1)
    assert kinds["router"] > 1


def test_a_host_on_a_router_has_a_default_route_and_one_among_nodes_alone_has_none() -> None:
    assert linked("n1-sw", "n2-sw", "h1-sw").machine("h1").routes == ()
    (route,) = linked("n1-sw", "r1-sw", "r1-h1").machine("h1").routes
    assert route.destination.prefixlen == 0


def test_a_farther_router_is_no_next_hop() -> None:
    """Both routers are on the segment; only one leads to the node behind it, and the other one elsewhere."""
    found = linked("n1-sw", "r1-sw", "r2-sw", "r1-n2", "r2-n3")
    n2, n3 = (found.machine(name).addresses[0].ip for name in ("n2", "n3"))
    assert ways(found, "n1", n2) == {("n1", "r1", "n2")}
    assert ways(found, "n1", n3) == {("n1", "r2", "n3")}


def test_where_there_is_no_router_nodes_leave_by_the_control_plane() -> None:
    found = linked("n1-sw", "n2-sw")
    (route,) = found.machine("n1").routes
    assert route == Route(route.destination, found.machine("sw").addresses[0].ip, "eth0")


@st.composite
def fabrics(draw: st.DrawFn) -> Fabric:
    """A connected network of some routers and switches, with nodes and hosts anywhere."""
    middle = [f"r{number}" for number in range(draw(st.integers(1, 5)))]
    middle += [f"s{number}" for number in range(draw(st.integers(0, 3)))]
    pairs = [(name, middle[draw(st.integers(0, index))]) for index, name in enumerate(middle[1:])]
    more = st.tuples(st.sampled_from(middle), st.sampled_from(middle))
    pairs += [pair for pair in draw(st.lists(more, max_size=5)) if pair[0] != pair[1]]
    for number in range(draw(st.integers(1, 4))):
        for _ in range(draw(st.integers(1, 2))):
            pairs.append((f"n{number}", draw(st.sampled_from(middle))))
    pairs.append(("h0", draw(st.sampled_from(middle))))
    return linked(
        *("-".join(pair) for pair in pairs),
        network=FAMILIES[draw(st.sampled_from(sorted(FAMILIES)))],
    )


@given(fabrics())
def test_everybody_reaches_every_address_in_no_circle(fabric: Fabric) -> None:
    ends = [machine for machine in fabric.machines if machine.interfaces[0].addresses]
    for source in ends:
        for target in ends:
            for address in target.all_addresses:
                assert ways(fabric, source.name, address.ip)


@given(fabrics())
def test_addresses_and_names_are_different(fabric: Fabric) -> None:
    addresses = [ip for machine in fabric.machines for ip in machine.all_addresses]
    assert len({*addresses}) == len(addresses)
    macs = [end.mac for cable in fabric.cables for end in cable.ends]
    assert len({*macs}) == len(macs)
