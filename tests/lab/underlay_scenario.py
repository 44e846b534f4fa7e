"""Underlays made, cut and changed in the network namespace that it is started in.

Argument: the name of a scenario below. Prints what it has seen, step by step, as JSON: mostly who did not reach
whom.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from testbed.fabric.machine import Fabric
from testbed.fabric.plan import plan
from testbed.kernel import netns
from testbed.kernel.ping import ping
from testbed.model.shape import Shape
from testbed.model.topology import Topology
from testbed.runtime.underlay import NetnsUnderlay

PATIENCE_S = 60.0
SILENCE_S = 0.5
"""How long those are asked who are not to answer."""
DUAL = {"podCIDR": "10.244.0.0/16,fd00:10:244::/56"}


def planned(*pairs: str, **sections: Any) -> Fabric:
    """`n1-sw n2-sw`: names that begin with n are nodes, with h hosts, with r routers."""
    links = [{"endpoints": pair.split("-")} for pair in pairs]
    names = dict.fromkeys(name for link in links for name in pair_of(link))
    kinds = {"nodes": "n", "hosts": "h", "routers": "r"}
    machines = {
        kind: {name: {} for name in names if name.startswith(first)}
        for kind, first in kinds.items()
    }
    topology = {"name": "scenario", "network": DUAL, **machines, "links": links, **sections}
    return plan(Topology.model_validate(topology))


def pair_of(link: dict[str, Any]) -> list[str]:
    ends: list[str] = link["endpoints"]
    return ends


def unreached(
    underlay: NetnsUnderlay, fabric: Fabric, *apart: str, every: bool = False
) -> list[str]:
    """Pairs of nodes and hosts that do not reach each other; `every` address, and routers, too. `apart`: those
    who are expected to reach nobody.
    """
    kinds = {"node", "host", *(("router",) if every else ())}
    machines = [one for one in fabric.machines if one.kind in kinds]
    owners = {
        address.ip: one.name
        for one in machines
        for address in (one.all_addresses if every else one.addresses)
    }

    async def all_pings() -> list[str]:
        found = []
        for one in machines:
            near = [ip for ip, name in owners.items() if not {name, one.name} & {*apart}]
            if one.name in apart:
                near = []
            far = [ip for ip in owners if ip not in near and owners[ip] != one.name]
            namespace = underlay.namespace(one.name)
            silent = set()
            for targets, patience_s in ((near, PATIENCE_S), (far, SILENCE_S)):
                silent |= await ping(namespace, targets, patience_s) if targets else set()
            found += sorted({f"{one.name}>{owners[ip]}" for ip in silent})
        return found

    return asyncio.run(all_pings())


def packets_in(underlay: NetnsUnderlay, name: str) -> int:
    """Received on eth0."""
    with netns.entered(underlay.namespace(name)):
        text = Path("/proc/thread-self/net/dev").read_text()
    line = next(line for line in text.splitlines() if line.strip().startswith("eth0:"))
    return int(line.split(":")[1].split()[1])


def said(underlay: NetnsUnderlay, name: str, *argv: str) -> str:
    with netns.entered(underlay.namespace(name)):
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


SPINE = (
    *("n1-sw", "n2-sw", "sw-ra", "n3-rb", "h1-rb"),
    *("ra-rs", "ra-rt", "rb-rs", "rb-rt"),
)
"""Two racks under two spines: one rack is a switch, the machines of the other hang on its router."""


def spine() -> Iterator[Any]:
    underlay, fabric = NetnsUnderlay(), planned(*SPINE)
    underlay.apply(fabric)
    yield unreached(underlay, fabric, every=True)
    target = str(fabric.machine("n3").addresses[0].ip)
    flows = (("sport", str(port), "dport", "80") for port in range(1024, 1088))
    ways = {
        said(underlay, "ra", "ip", "-o", "route", "get", target, "ipproto", "tcp", *ports).split()[
            2
        ]
        for ports in flows
    }
    yield sorted(ways)
    for cable in ("ra:rs", "rb:rs"):
        underlay.cut(cable)
    yield unreached(underlay, fabric)
    for cable in ("ra:rs", "rb:rs"):
        underlay.join(cable)
    yield unreached(underlay, fabric, every=True)


def ring() -> Iterator[Any]:
    underlay, fabric = NetnsUnderlay(), planned("n1-a", "n2-b", "n3-c", "a-b", "b-c", "c-a", "a-b")
    underlay.apply(fabric)
    yield unreached(underlay, fabric)
    before = packets_in(underlay, "n3")
    # Nobody has this address: asked for by broadcast, three times at most.
    asyncio.run(ping(underlay.namespace("n1"), [fabric.machine("n1").addresses[0].ip + 100], 0.3))
    yield packets_in(underlay, "n3") - before < 50
    yield [name for name, state in underlay.cables().items() if state.state == "reserve"]
    for cuts in (("a:b",), ("a:b", "b:c"), ("a:b", "c:a"), ("a:b", "c:a", "a:b:2")):
        for cable in cuts:
            underlay.cut(cable)
        apart = ("n1",) if len(cuts) == 3 else ()
        yield unreached(underlay, fabric, *apart)
        for cable in cuts:
            underlay.join(cable)
    yield unreached(underlay, fabric)


def changes() -> Iterator[Any]:
    """Machines and links come and go; whoever stays keeps the namespace."""
    underlay = NetnsUnderlay()
    first = planned("n1-a", "n2-a", "a-r1", "r1-h1")
    underlay.apply(first)
    yield unreached(underlay, first, every=True)
    stays = ("n1", "n2", "h1", "r1", "a")
    before = [os.fstat(underlay.namespace(name)).st_ino for name in stays]
    second = planned("n1-a", "n2-a", "a-r1", "r1-h1", "r1-r2", "r2-n3", "n1-b", "b-n4", "b-r2")
    underlay.apply(second)
    yield unreached(underlay, second, every=True)
    underlay.apply(first)
    yield unreached(underlay, first, every=True)
    yield before == [os.fstat(underlay.namespace(name)).st_ino for name in stays]
    yield said(underlay, "r1", "ip", "-o", "route").count("\n")


def power() -> Iterator[Any]:
    """A machine without power is silent on all its links; anew, it has them all, but for one that is cut."""
    underlay, fabric = NetnsUnderlay(), planned("n1-a", "n1-r1", "n2-a", "a-r1", "r1-n3")
    underlay.apply(fabric)
    underlay.unplug("n1")
    yield {state.state for name, state in underlay.cables().items() if "n1" in name} == {"down"}
    yield unreached(underlay, fabric, "n1")
    underlay.renew("n1")
    yield unreached(underlay, fabric, every=True)
    underlay.cut("n1:a")
    underlay.renew("n1")
    states = underlay.cables()
    yield [states["n1:a"].state, states["n1:r1"].state]
    underlay.join("n1:a")
    yield unreached(underlay, fabric, every=True)


def shapes() -> Iterator[Any]:
    """A rate of the file, one that is set, and one that the file says next."""
    rate = [{"endpoints": ["n1", "a"], "rate": "100mbit"}, {"endpoints": ["n2", "a"]}]
    machines = {"nodes": {"n1": {}, "n2": {}}, "links": rate}
    underlay, fabric = NetnsUnderlay(), planned(**machines)
    underlay.apply(fabric)

    def slowest() -> list[float | None]:
        return [shape.rate_bps for shape in underlay.cables()["n1:a"].shapes]

    yield [slowest(), "tbf" in said(underlay, "n1", "tc", "qdisc", "show", "dev", "eth0")]
    underlay.set_shape("n1:a", 0, Shape(rate_bps=5e6))
    underlay.renew("n1")
    yield slowest()
    cables = tuple(replace(one, shapes=(Shape(), Shape(rate_bps=2e6))) for one in fabric.cables)
    underlay.apply(replace(fabric, cables=cables))
    yield slowest()


SCENARIOS: dict[str, Callable[[], Iterator[Any]]] = {
    one.__name__: one for one in (spine, ring, changes, power, shapes)
}


if __name__ == "__main__":
    print(json.dumps([*SCENARIOS[sys.argv[1]]()]))
