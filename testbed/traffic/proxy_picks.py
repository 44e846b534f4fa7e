"""Conntrack entries of the userspace mode, completed: the kernel's end at the node, the proxy knows on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from testbed.proxy.userspace_picks import Pick

if TYPE_CHECKING:
    import pandas as pd

_WHO = ["node", "protocol", "src_ip", "src_port"]


def with_picks(entries: pd.DataFrame, picks: Mapping[str, Sequence[Pick]]) -> pd.DataFrame:
    """`conntrack.read_entries`' rows; where a node's proxy answered, the endpoint's side.

    `picks`: by node. A pick belongs to the new entry of its client's address and port that is nearest in time:
    an entry is dated when the recorder hears of it, which may be after the pick.
    """
    import pandas as pd

    rows = [
        {
            "picked_ns": pick.t_ns,
            "node": node,
            "protocol": pick.protocol,
            "src_ip": pick.client_ip,
            "src_port": pick.client_port,
            "reply_src_ip": pick.endpoint_ip,
            "reply_src_port": pick.endpoint_port,
            "reply_dst_ip": pick.own_ip,
            "reply_dst_port": pick.own_port,
        }
        for node, several in picks.items()
        for pick in several
    ]
    if not rows or entries.empty:
        return entries
    known = pd.DataFrame(rows).sort_values("picked_ns")
    new = entries[entries["event"] == "new"].assign(entry=lambda table: table.index)
    matched = pd.merge_asof(
        known.astype({"node": "object", "src_ip": "object"}),
        new[["t_ns", "entry", *_WHO]]
        .astype({"node": "object", "src_ip": "object"})
        .sort_values("t_ns"),
        left_on="picked_ns",
        right_on="t_ns",
        by=_WHO,
        direction="nearest",
    ).dropna(subset=["entry"])
    matched = matched.drop_duplicates("entry", keep="last").set_index("entry")
    completed = entries.copy()
    for column in ("reply_src_ip", "reply_src_port", "reply_dst_ip", "reply_dst_port"):
        completed.loc[matched.index, column] = matched[column]
    return completed
