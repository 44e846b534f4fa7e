"""Which cables carry: loops among switches are broken, as by a spanning tree.

A bridge floods what it does not know: in a loop a broadcast never ends. So of the cables between switches those
that would close a loop wait in reserve, until one that carries is out. The cables that stand first in the file
carry; no protocol is spoken, and no time passes.
"""

from __future__ import annotations

from collections.abc import Set

from testbed.fabric.machine import Fabric


def carrying(fabric: Fabric, out: Set[str] = frozenset()) -> frozenset[str]:
    """Names of the cables that carry while those in `out` are cut."""
    switches = {machine.name for machine in fabric.machines if machine.kind == "switch"}
    leaders = {switch: switch for switch in switches}

    def leader(switch: str) -> str:
        while leaders[switch] != switch:
            switch = leaders[switch]
        return switch

    found = set()
    for cable in fabric.cables:
        if cable.name in out:
            continue
        one, other = (end.machine for end in cable.ends)
        if one in switches and other in switches:
            if leader(one) == leader(other):
                continue
            leaders[leader(other)] = leader(one)
        found.add(cable.name)
    return frozenset(found)
