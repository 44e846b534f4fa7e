"""A node's rules as its kernel has them, and what they would do to a packet."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, cast

from testbed.proxy.iptables import IptablesBackend
from testbed.proxy.ipvs import IpvsBackend
from testbed.proxy.ipvs_tracer import IpvsTracer
from testbed.proxy.nft_tracer import NftTracer
from testbed.proxy.nftables import NftablesBackend
from testbed.proxy.packet import NodeTracer
from testbed.proxy.ruleset import Chains
from testbed.proxy.tracer import Tracer
from testbed.proxy.userspace import UserspaceBackend
from testbed.proxy.userspace_tracer import UserspaceTracer

Variant = Literal["nft", "legacy"]


def chains(mode: str, text: str) -> dict[str, Chains]:
    """Table -> chain -> rules of what `rules` printed in a mode (a label as results have it)."""
    return dict(_parsed(mode, text)[0])


def tracer(mode: str, text: str, local_ips: Iterable[str]) -> NodeTracer:
    """What tells where a packet goes by these rules. Raises UnknownRuleError for a rule it cannot read."""
    tables, read = _parsed(mode, text)
    return read(tables, tuple(local_ips))


Read = Callable[[dict[str, Chains], tuple[str, ...]], NodeTracer]


def _parsed(mode: str, text: str) -> tuple[dict[str, Chains], Read]:
    name, _, variety = mode.partition("/")
    if name.startswith("iptables-"):
        variant = cast("Variant", name.removeprefix("iptables-"))
        return dict(IptablesBackend(variant).parse(text).own.tables), Tracer
    if name == "nftables":
        return dict(NftablesBackend().parse(text).own.tables), NftTracer
    if name == "ipvs":
        return dict(IpvsBackend(variety or "rr", "legacy").parse(text).own.tables), IpvsTracer
    return dict(UserspaceBackend("legacy").parse(text).own.tables), UserspaceTracer
