"""Conntrack entries of the userspace mode, completed: the kernel's end at the node, the proxy knows on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from testbed.proxy.userspace_picks import Pick
from testbed.traffic.accept_log import UDP

if TYPE_CHECKING:
    import pandas as pd

_WHO = ["node", "protocol", "src_ip", "src_port"]


def with_picks(entries: pd.DataFrame, picks: Mapping[str, Sequence[Pick]]) -> pd.DataFrame:
    """`conntrack.read_entries`' rows; where a node's proxy answered, the endpoint's side.

    `picks`: by node. A pick belongs to the new entry of its client's address and port that is nearest in time:
    an entry is dated when the recorder hears of it, which may be after the pick. A UDP entry that was picked
    for several times has a row for each.
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
    # A UDP client that was quiet for a while is picked for anew; of TCP the last pick is what counted.
    udp = matched["protocol"] == UDP
    anew = matched[udp & matched.duplicated("entry")].set_index("entry")
    matched = pd.concat([matched[udp], matched[~udp].drop_duplicates("entry", keep="last")])
    matched = matched.drop_duplicates("entry").set_index("entry")
    completed = _completed(entries, matched)
    again = _completed(entries.loc[anew.index].reset_index(drop=True), anew.reset_index(drop=True))
    again["t_ns"] = anew["picked_ns"].to_numpy()
    return pd.concat([completed, again], ignore_index=True).astype(entries.dtypes.to_dict())


def _completed(entries: pd.DataFrame, picks: pd.DataFrame) -> pd.DataFrame:
    """The entries with the endpoint's side as picked, by their index."""
    completed = entries.copy()
    for column in ("reply_src_ip", "reply_src_port", "reply_dst_ip", "reply_dst_port"):
        completed.loc[picks.index, column] = picks[column]
    return completed
