"""Tables of the flow table's cluster states, for the nftables back end."""

from __future__ import annotations

from testbed.proxy.table import ForwardingTable, forwarding_table
from tests.flows import PROFILES
from tests.tracers import config_of, dual_stack_snapshot


def table_for(
    state: str,
    family: int = 4,
    profile: str = PROFILES[0],
    node: str = "n1",
    before: ForwardingTable | None = None,
) -> ForwardingTable:
    """The table of a node, perhaps derived from one before."""
    return forwarding_table(dual_stack_snapshot(state), config_of(family, profile), node, before)
