"""A node's rules as its tools print them -> a tracer that reads them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from testbed.errors import UsageError
from testbed.proxy.iptables_foreign import Foreign, policies_of
from testbed.proxy.iptables_restore import parse_tables, planned_spelling
from testbed.proxy.ipvs import IpvsBackend
from testbed.proxy.ipvs_tracer import IpvsTracer
from testbed.proxy.nft_foreign import base_of, read_tables
from testbed.proxy.nft_tracer import NftTracer
from testbed.proxy.nftables_listing import parse as parse_nft
from testbed.proxy.nftables_listing import tables_of
from testbed.proxy.packet import NodeTracer
from testbed.proxy.tracer import Tracer
from testbed.proxy.userspace import UserspaceBackend
from testbed.proxy.userspace_table import SECTION
from testbed.proxy.userspace_tracer import UserspaceTracer
from testbed.trace.tools import NFT, iptables_part, tool_of


def tracer_of(
    text: str,
    local_ips: Iterable[str],
    family: int = 4,
    in_interface: str = "",
    out_interface: str = "",
) -> NodeTracer:
    """Reads what `testbed rules` prints, iptables-save's output or nft's list, whoever's rules they are.

    Raises UsageError for text that is none of them; UnknownRuleError for rules of kube-proxy's own tables of
    nftables, virtual servers and sets that are not understood. What is not understood of other rules ends the
    ways that meet it.
    """
    local_ips = tuple(local_ips)
    if text.startswith("### "):
        return IpvsTracer(IpvsBackend("rr", "legacy", family).parse(text).own.tables, local_ips)
    if text.startswith(f"*{SECTION}\n"):
        rules = UserspaceBackend("legacy", family=family).parse(text).own
        return UserspaceTracer(rules.tables, local_ips)
    if tool_of(text) == NFT:
        return _nft(text, local_ips, family)
    if "\n*" not in f"\n{text}":
        raise UsageError(
            "neither iptables-save's output nor nft's",
            "take it on the node: iptables-save > DUMP, or nft list ruleset > DUMP",
        )
    foreign = Foreign(policies_of(text), in_interface, out_interface)
    return Tracer(iptables_tables(text), local_ips, foreign)


def iptables_tables(text: str) -> dict[str, dict[str, tuple[str, ...]]]:
    """table -> chain -> rules of what iptables-save printed, counters left out, in a plan's spelling."""
    return {
        table: {chain: tuple(map(planned_spelling, rules)) for chain, rules in chains.items()}
        for table, chains in parse_tables(counters_removed(iptables_part(text))).items()
        if table != SECTION
    }


def counters_removed(text: str) -> str:
    """What `iptables-save -c` printed, as without -c."""
    return "\n".join([_COUNTERS.sub("", line) for line in text.splitlines()])


def nft_tables(text: str) -> dict[str, dict[str, tuple[str, ...]]]:
    """Table -> block -> lines of kube-proxy's own tables in a listing of nft's, in a plan's spelling."""
    text = _NUMBERS.sub("", text)
    return {
        table: {name: tuple(map(_numeric, lines)) for name, lines in blocks.items()}
        for table, blocks in parse_nft(text).own.tables.items()
    }


_COUNTERS = re.compile(r"^\[\d+:\d+\] ")
_NUMBERS = re.compile(r" # handle \d+$", re.MULTILINE)
_OURS = ("ip kube-proxy", "ip6 kube-proxy")


def _nft(text: str, local_ips: tuple[str, ...], family: int) -> NftTracer:
    text = _NUMBERS.sub("", text)
    own = _OURS[family == 6]
    tables = {name: blocks for name, blocks in nft_tables(text).items() if name == own}
    others = {head: lines for head, lines in tables_of(text) if head not in _OURS}
    return NftTracer(tables, local_ips, read_tables(others, family))


def _numeric(line: str) -> str:
    """A base chain's declaration with its priority as a number: nft prints words without -y."""
    base = base_of(line) if line.startswith("type ") else None
    if base is None:
        return line
    return f"type {base.kind} hook {base.hook} priority {base.priority}; policy {base.policy};"
