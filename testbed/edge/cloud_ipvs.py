"""A balancer in IPVS that passes packets on as they came (LVS' direct routing): lines of `ipvsadm --restore`.

A node gets the packet by its MAC address, sees client and service address unchanged, and answers the client
past the balancer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from testbed.command import Command
from testbed.edge.cloud import Frontend
from testbed.edge.spread import Spread
from testbed.ip import host_port

_FLAGS = {"TCP": "-t", "UDP": "-u", "SCTP": "--sctp-service"}
Services = Mapping[str, tuple[str, Mapping[str, int]]]
"""Virtual server (`-t 10.0.0.200:80`) -> its options, and the weight of each of its destinations."""


def services(state: Sequence[Spread]) -> Services:
    """The virtual servers of a state: who is not well has weight 0, keeps what it has and gets nothing new."""
    return {
        _server(one.frontend): (
            f"-s {'sh' if one.frontend.sticky else 'rr'}",
            {
                host_port(target.ip, one.frontend.port): int(target in one.taking)
                for target in one.frontend.targets
            },
        )
        for one in state
    }


def commands(have: Services, want: Services) -> tuple[Command, ...]:
    """From one state to the next."""
    lines: list[str] = []
    for server, (options, destinations) in want.items():
        before = have.get(server)
        if before is None:
            lines.append(f"-A {server} {options}")
        elif before[0] != options:
            lines.append(f"-E {server} {options}")
        old = before[1] if before is not None else {}
        for where, weight in destinations.items():
            if old.get(where) != weight:
                verb = "-e" if where in old else "-a"
                lines.append(f"{verb} {server} -r {where} -g -w {weight}")
        lines += [f"-d {server} -r {where}" for where in old if where not in destinations]
    lines += [f"-D {server}" for server in have if server not in want]
    text = "".join(f"{line}\n" for line in lines)
    return (Command(("ipvsadm", "--restore"), text),) if lines else ()


def _server(front: Frontend) -> str:
    return f"{_FLAGS[front.protocol]} {host_port(front.address, front.port)}"
