"""A node's rules as its tools print them -> a tracer that reads them."""

from __future__ import annotations

from collections.abc import Iterable

from testbed.errors import UsageError
from testbed.proxy.iptables_restore import parse_tables, planned_spelling
from testbed.proxy.ipvs import IpvsBackend
from testbed.proxy.ipvs_tracer import IpvsTracer
from testbed.proxy.nft_tracer import NftTracer
from testbed.proxy.nftables_listing import parse as parse_nft
from testbed.proxy.packet import NodeTracer
from testbed.proxy.tracer import Tracer
from testbed.proxy.userspace import UserspaceBackend
from testbed.proxy.userspace_table import SECTION
from testbed.proxy.userspace_tracer import UserspaceTracer
from testbed.trace.tools import NFT, tool_of


def tracer_of(text: str, local_ips: Iterable[str], family: int = 4) -> NodeTracer:
    """Reads what `testbed rules` prints, iptables-save's output or `nft list ruleset`'s.

    Raises UsageError for text that is none of them, UnknownRuleError.
    """
    local_ips = tuple(local_ips)
    if text.startswith("### "):
        return IpvsTracer(IpvsBackend("rr", "legacy", family).parse(text).own.tables, local_ips)
    if text.startswith(f"*{SECTION}\n"):
        rules = UserspaceBackend("legacy", family=family).parse(text).own
        return UserspaceTracer(rules.tables, local_ips)
    if tool_of(text) == NFT:
        tables = parse_nft(text).own.tables
        return NftTracer(tables, local_ips)
    if "\n*" not in f"\n{text}":
        raise UsageError(
            "neither iptables-save's output nor nft's",
            "take it on the node: iptables-save > DUMP, or nft list ruleset > DUMP",
        )
    tables_of = parse_tables(text)
    return Tracer(
        {
            table: {
                chain: [planned_spelling(rule) for rule in rules] for chain, rules in chains.items()
            }
            for table, chains in tables_of.items()
        },
        local_ips,
    )
