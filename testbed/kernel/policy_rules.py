"""Policy rules of a router: whose packets ask a table of their own first (ip-rule(8), linux/fib_rules.h)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Sequence

from testbed.ip import IPNetwork
from testbed.kernel.netlink import Message, attribute

RTM_NEWROUTE, RTM_DELROUTE, RTM_NEWRULE, RTM_DELRULE = 24, 25, 32, 33
_CREATE, _REPLACE, _EXCL = 0x400, 0x100, 0x200
_RULE = struct.Struct("=BBBBBBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")
_U32 = struct.Struct("=I")
_FRA_SRC, _FRA_PRIORITY, _FRA_TABLE = 2, 6, 15
_RTA_DST, _RTA_TABLE = 1, 15
_TO_TABLE, _BLACKHOLE, _STATIC = 1, 6, 4
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
_PRIORITY = 7000
"""Before the main table's rule (32766)."""


def ban(
    table: int, sources: Sequence[IPNetwork], destinations: Sequence[IPNetwork]
) -> Iterator[Message]:
    """Drop what goes from a source to a destination: the routes of `table`, then the rules that lead there."""
    yield from (_blackhole(one, table, delete=False) for one in destinations)
    yield from (_rule(one, table, delete=False) for one in sources)


def lift(
    table: int, sources: Sequence[IPNetwork], destinations: Sequence[IPNetwork]
) -> Iterator[Message]:
    """Undo `ban`."""
    yield from (_rule(one, table, delete=True) for one in sources)
    yield from (_blackhole(one, table, delete=True) for one in destinations)


def _rule(source: IPNetwork, table: int, *, delete: bool) -> Message:
    family = _FAMILY[source.version]
    payload = (
        _RULE.pack(family, 0, source.prefixlen, 0, 0, 0, 0, _TO_TABLE, 0)
        + attribute(_FRA_SRC, source.network_address.packed)
        + attribute(_FRA_PRIORITY, _U32.pack(_PRIORITY))
        + attribute(_FRA_TABLE, _U32.pack(table))
    )
    kind, flags = (RTM_DELRULE, 0) if delete else (RTM_NEWRULE, _CREATE | _EXCL)
    return Message(kind, flags, payload, f"rule for what comes from {source}")


def _blackhole(destination: IPNetwork, table: int, *, delete: bool) -> Message:
    family = _FAMILY[destination.version]
    payload = (
        _ROUTE.pack(family, destination.prefixlen, 0, 0, 0, _STATIC, 0, _BLACKHOLE, 0)
        + attribute(_RTA_DST, destination.network_address.packed)
        + attribute(_RTA_TABLE, _U32.pack(table))
    )
    kind, flags = (RTM_DELROUTE, 0) if delete else (RTM_NEWROUTE, _CREATE | _REPLACE)
    return Message(kind, flags, payload, f"blackhole for {destination}")
