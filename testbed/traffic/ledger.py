"""Where every connection went: samples joined with what kernel and servers noted of them.

The kernel's entry (conntrack) is found by the connection's addresses, the server's accept by the
addresses that the server saw, which masquerading has changed. Ports come round again: among equal
addresses an entry, or an accept, belongs to the latest connection that had begun by then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from testbed.traffic.accept_log import UDP

if TYPE_CHECKING:
    import pandas as pd

ACCOUNTS = ("accepted", "backlog", "refused", "unanswered", "censored")
"""What becomes of a connection that the kernel has sent to a backend."""

_FOREVER_NS = 2**62
_WORD_NS = 100_000_000
"""So much later than the kernel made an entry it may have said so."""
_IDENTITY = ("stream", "client", "connection")
_TUPLE = ("src_ip", "src_port", "target")


def join(samples: pd.DataFrame, entries: pd.DataFrame, pods: Mapping[str, str]) -> pd.DataFrame:
    """The samples with `picked_backend` and `picked_ns`, on every request of a connection; of a UDP
    socket whose flow was forgotten and picked anew, each request's own.

    `entries` as `conntrack.read_entries` gives them, `pods` from address to name (an address
    without a name stands for itself). `samples` has `client_node`: its kernel picked; where that is
    empty (an outside client), the first one that saw the connection. An answer from a pod that the
    kernel did not pick turns `ok` into `wrong_backend`, but where pods had an address in turn (`ip@uid` in
    `pods` and entries): a flow goes on to whoever has it.
    """
    import pandas as pd

    samples = samples.drop(columns=["picked_backend", "picked_ns"], errors="ignore")
    relevant, connections = _relevant(samples, entries), _first_requests(samples)
    matched = _matched(connections, relevant)
    picks = matched[matched["final"]][["picked_ip", "picked_ns"]]
    found = connections.join(pd.concat([picks, _flows_on(connections, picks, relevant)]))
    found["picked_backend"] = _names(found["picked_ip"], pods)
    keys = _identity(samples)
    joined = samples.merge(
        found[[*keys, "picked_backend", "picked_ns", "picked_ip"]], on=keys, how="left"
    )
    joined.index = samples.index
    anew = _picked_anew(samples, connections, matched)
    joined.loc[anew.index, ["picked_ip", "picked_ns"]] = anew
    joined.loc[anew.index, "picked_backend"] = _names(anew["picked_ip"], pods)
    wrong = (
        (joined["outcome"] == "ok")
        & joined["backend"].notna()
        & joined["picked_ip"].isin(list(pods))
        & (joined["backend"] != joined["picked_backend"].map(_bare, na_action="ignore"))
    )
    heir = wrong.fillna(False) & _is_tenant(joined, pods)
    joined["outcome"] = joined["outcome"].mask(wrong.fillna(False) & ~heir, "wrong_backend")
    joined["picked_backend"] = joined["picked_backend"].mask(heir, joined["backend"])
    return joined.drop(columns="picked_ip")


def ledger(
    samples: pd.DataFrame,
    entries: pd.DataFrame,
    accepted: Mapping[str, pd.DataFrame],
    pods: Mapping[str, str],
) -> pd.DataFrame:
    """A row per client node and backend: client_node, backend, kernel, `ACCOUNTS`, residual.

    `kernel` counts the entries of these clients to these targets, `accepted` those in the backend's
    accept log (`accepted`: rows of `read_accept_log` by pod name, `web-0` or `web-0@uid`). Of the
    rest, a connection whose handshake was completed ended in the `backlog`; one without is
    `unanswered`, as is an entry that another one of the same connection replaced: the first SYN met
    what was left of an older connection, and only the next one counted. `residual` is what nobody
    accounts for; right is 0.
    """
    import pandas as pd

    kernel, connections = _relevant(samples, entries), _first_requests(samples)
    picks = _matched(connections, kernel).join(connections[["outcome", "connected_ns"]])
    picks["backend"] = _names(picks["picked_ip"], pods)
    picks["account"] = _accounts(picks, accepted)
    kernel = kernel.assign(backend=_names(kernel["picked_ip"], pods))
    keys = ["client_node", "backend"]
    table = kernel.groupby(keys).size().rename("kernel").to_frame()
    accounts = picks.groupby([*keys, "account"]).size().unstack(fill_value=0)
    table = table.join(accounts.reindex(columns=list(ACCOUNTS), fill_value=0)).fillna(0)
    table = table.astype("int64").reset_index()
    table["residual"] = table["kernel"] - table[list(ACCOUNTS)].sum(axis=1)
    return pd.DataFrame(table[[*keys, "kernel", *ACCOUNTS, "residual"]])


def _identity(samples: pd.DataFrame) -> list[str]:
    return [name for name in _IDENTITY if name in samples.columns]


def _first_requests(samples: pd.DataFrame) -> pd.DataFrame:
    """A row per connection, numbered from 0, in the order in which they began.

    `begin_ns` is before the first packet of the connection left.
    """
    first = samples.sort_values("start_ns", kind="stable").drop_duplicates(_identity(samples))
    begin = first["resolved_ns"].fillna(first["start_ns"]).astype("int64")
    return (
        first.assign(begin_ns=begin).sort_values("begin_ns", kind="stable").reset_index(drop=True)
    )


def _relevant(samples: pd.DataFrame, entries: pd.DataFrame) -> pd.DataFrame:
    """New entries of these clients to these targets, on the node that picked; by time.

    Columns: t_ns, client_node, protocol, the connection's tuple, picked_ip, seen_ip and seen_port
    (the client as the backend sees it).
    """
    new = entries[entries["event"] == "new"]
    table = new.rename(
        columns={
            "reply_src_ip": "picked_ip",
            "reply_dst_ip": "seen_ip",
            "reply_dst_port": "seen_port",
        }
    )
    host = table["dst_ip"].where(~table["dst_ip"].str.contains(":"), "[" + table["dst_ip"] + "]")
    table = table.assign(target=host + ":" + table["dst_port"].astype(str))
    streams = (
        samples[["src_ip", "target", "client_node"]]
        .drop_duplicates()
        .dropna(subset=["src_ip", "target"])
    )
    table = table.merge(streams, on=["src_ip", "target"])
    outside = table["client_node"].fillna("") == ""
    table = table[outside | (table["node"] == table["client_node"])]
    columns = ["t_ns", "client_node", "protocol", *_TUPLE, "picked_ip", "seen_ip", "seen_port"]
    return table[columns].sort_values("t_ns", kind="stable")


def _matched(connections: pd.DataFrame, relevant: pd.DataFrame) -> pd.DataFrame:
    """Each entry that belongs to a connection, by the connection's number; by time.

    `final`: no later one belongs to it, this is the pick. Of a connection that has come about, a later one is
    none: it came by another node since, which knows nothing of it.
    """
    import pandas as pd

    found = pd.merge_asof(
        _comparable(relevant),
        _dialled(connections),
        left_on="t_ns",
        right_on="begin_ns",
        by=list(_TUPLE),
    ).dropna(subset=["number"])
    moved = _moved(found, connections)
    latest = ~found[~moved].duplicated("number", keep="last")
    found = found.assign(final=latest.reindex(found.index, fill_value=False))
    found = found.rename(columns={"t_ns": "picked_ns"})
    return found.astype({"number": "int64", "picked_ns": "Int64"}).set_index("number")


def _moved(found: pd.DataFrame, connections: pd.DataFrame) -> pd.Series[bool]:
    """Which entries are not their connection's first, and of packets that came when it was established."""
    connected_ns = found["number"].map(connections["connected_ns"]).astype("float64")
    first_ns = found.groupby("number")["t_ns"].transform("first").astype("float64")
    settled_ns = connected_ns.where(connected_ns > first_ns, first_ns) + _WORD_NS
    return (found["protocol"] != UDP) & connected_ns.notna() & (found["t_ns"] > settled_ns)


def _flows_on(
    connections: pd.DataFrame, picks: pd.DataFrame, relevant: pd.DataFrame
) -> pd.DataFrame:
    """Picks of the UDP sockets that got a port whose flow the kernel still knew: it picks none anew."""
    import pandas as pd

    without = _dialled(connections[~connections.index.isin(picks.index)])
    flows = _comparable(relevant[relevant["protocol"] == UDP]).rename(columns={"t_ns": "picked_ns"})
    found = pd.merge_asof(
        without, flows, left_on="begin_ns", right_on="picked_ns", by=list(_TUPLE)
    ).dropna(subset=["picked_ip"])
    found = found.astype({"picked_ns": "Int64"}).set_index("number")
    return found[["picked_ip", "picked_ns"]]


def _picked_anew(
    samples: pd.DataFrame, connections: pd.DataFrame, matched: pd.DataFrame
) -> pd.DataFrame:
    """picked_ip and picked_ns of the requests on UDP sockets that have several entries, by the samples'
    index: that of the newest entry before the socket's next request.
    """
    import pandas as pd

    several = matched[matched.index.duplicated(keep=False) & (matched["protocol"] == UDP)]
    keys = _identity(samples)
    entries = several[["picked_ip", "picked_ns"]].join(connections[keys])
    if entries.empty:
        return pd.DataFrame({"picked_ip": [], "picked_ns": []}, index=samples.index[:0])
    requests = samples[[*keys, "start_ns"]].assign(row=samples.index).sort_values("start_ns")
    # The kernel's word of an entry may come a little later than the answer.
    until_ns = requests.groupby(keys, observed=True)["start_ns"].shift(-1).fillna(_FOREVER_NS)
    found = pd.merge_asof(
        requests.assign(until_ns=until_ns.astype("int64")).sort_values("until_ns", kind="stable"),
        entries.assign(by_ns=entries["picked_ns"].astype("int64")).sort_values("by_ns"),
        left_on="until_ns",
        right_on="by_ns",
        by=keys,
    ).dropna(subset=["by_ns"])
    return found.set_index("row")[["picked_ip", "picked_ns"]]


def _is_tenant(joined: pd.DataFrame, pods: Mapping[str, str]) -> pd.Series[bool]:
    """Who was answered by a pod that has, or had, the picked address."""
    import pandas as pd

    shared = {(key.partition("@")[0], pod) for key, pod in pods.items() if "@" in key}
    if not shared:
        return pd.Series(False, index=joined.index)
    addresses = (str(ip).partition("@")[0] for ip in joined["picked_ip"])
    pairs = zip(addresses, joined["backend"], strict=True)
    return pd.Series([pair in shared for pair in pairs], index=joined.index, dtype=bool)


def _dialled(connections: pd.DataFrame) -> pd.DataFrame:
    """begin_ns, tuple and number of the connections that came as far as having addresses."""
    known = connections[connections["src_ip"].notna()]
    return _comparable(known[["begin_ns", *_TUPLE]]).assign(number=known.index)


def _comparable(table: pd.DataFrame) -> pd.DataFrame:
    """One type for each column of the join, whoever made the table."""
    types = {"src_ip": "object", "target": "object", "src_port": "int64"}
    return table.astype({name: kind for name, kind in types.items() if name in table.columns})


def _accounts(picks: pd.DataFrame, accepted: Mapping[str, pd.DataFrame]) -> pd.Series[str]:
    """What became of each picked connection, by its number; missing where nobody knows."""
    log = _accept_logs(accepted)
    taken = _accepted_numbers(picks, log)
    outcome, connected = picks["outcome"], picks["connected_ns"].notna()
    lost = outcome.isin(["timeout", "reset", "closed", "unreachable", "client_error"])
    account = outcome.where(outcome.isin(["refused", "censored"]))
    account = account.mask(lost & connected, "backlog").mask(lost & ~connected, "unanswered")
    account = account.mask(picks.index.isin(taken), "accepted").mask(~picks["final"], "unanswered")
    return account.mask(~picks["final"] & _heard(picks, log), "accepted")


_SEEN = ["backend", "seen_ip", "seen_port"]


def _accept_logs(accepted: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """All servers' in one."""
    import pandas as pd

    rows = [table.assign(backend=_bare(pod)) for pod, table in accepted.items() if len(table)]
    if not rows:
        return pd.DataFrame(columns=["t_ns", "protocol", *_SEEN])
    return pd.concat(rows).rename(columns={"src_ip": "seen_ip", "src_port": "seen_port"})


def _heard(picks: pd.DataFrame, log: pd.DataFrame) -> pd.Series[bool]:
    """Which picks are UDP flows of which the backend has read something."""
    import pandas as pd

    known = set(log.loc[log["protocol"] == UDP, _SEEN].itertuples(index=False, name=None))
    backends = picks["backend"].map(_bare)
    flows = zip(backends, picks["seen_ip"], picks["seen_port"], strict=True)
    udp = picks["protocol"] == UDP
    return udp & pd.Series([flow in known for flow in flows], index=picks.index, dtype=bool)


def _accepted_numbers(picks: pd.DataFrame, log: pd.DataFrame) -> set[int]:
    """Numbers of the connections that the picked backend's server took."""
    import pandas as pd

    if log.empty or picks.empty:
        return set()
    seen = _SEEN
    types = {"backend": "object", "seen_ip": "object", "seen_port": "int64", "t_ns": "int64"}
    began = picks[picks["final"]].reset_index()
    began = began.assign(backend=began["backend"].map(_bare))
    began = began[["begin_ns", "number", *seen]].sort_values("begin_ns")
    matched = pd.merge_asof(
        log.astype(types).sort_values("t_ns"),
        began.astype({name: types[name] for name in seen} | {"begin_ns": "int64"}),
        left_on="t_ns",
        right_on="begin_ns",
        by=seen,
    )
    return set(matched["number"].dropna().astype("int64"))


def _bare(pod: str) -> str:
    """A pod as it calls itself: without its namespace, and without the uid that tells it from
    another of its name (`web-0@1b2c…`)."""
    return pod.rpartition("/")[2].partition("@")[0]


def _names(addresses: pd.Series[str], pods: Mapping[str, str]) -> pd.Series[str]:
    return addresses.map(pods).fillna(addresses).astype("string")
