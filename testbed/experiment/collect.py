"""From what a trial left behind to the rows that are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from testbed.events import Event
from testbed.experiment.columns import LEDGER, SAMPLES
from testbed.experiment.design import Trial
from testbed.experiment.record import TrialRecord
from testbed.experiment.subjects import node_of, pods_of
from testbed.experiment.tenancy import tenants, told_apart
from testbed.experiment.trial_lab import FinishedLoad, Recording
from testbed.ip import FAMILY_NAMES
from testbed.model.ingress_objects import NAMESPACE as INGRESS_NAMESPACE
from testbed.proxy.userspace_picks import Pick, picks
from testbed.traffic.accept_log import read_accept_log
from testbed.traffic.conntrack import read_entries
from testbed.traffic.ledger import join, ledger
from testbed.traffic.proxy_picks import with_picks
from testbed.traffic.samples import read
from testbed.traffic.spec import parse_url


def nothing(trial: Trial, reason: str) -> TrialRecord:
    """The record of a trial that failed: no rows, and why."""
    return TrialRecord(
        trial=trial,
        started_ns=0,
        ended_ns=0,
        samples=pd.DataFrame(columns=pd.Index(SAMPLES)),
        ledger=pd.DataFrame(columns=pd.Index(LEDGER)),
        events=(),
        rules={},
        invalid=(f"failed: {reason}",),
        failed=True,
    )


def samples_of(loads: Sequence[FinishedLoad], view: Mapping[str, Any]) -> pd.DataFrame:
    """A row per request of all loads, with who asked, from where, and who answered."""
    nodes = {pod.name.rpartition("/")[2]: pod.node for pod in pods_of(view).values()}
    parts = [
        read(load.result.samples).assign(
            stream=load.spec.label,
            protocol=parse_url(load.spec.url).protocol,
            client=load.spec.source,
            client_node=node_of(view, load.spec.source),
        )
        for load in loads
    ]
    if not parts:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in SAMPLES.items()})
    samples = pd.concat(parts, ignore_index=True)
    return samples.assign(backend_node=samples["backend"].map(nodes))


def with_rules_version(samples: pd.DataFrame, events: Sequence[Event]) -> pd.DataFrame:
    """Adds `node_rules_rv`: the state that the client's node had programmed by then, in the IP family of the
    address that was dialled (none was dialled: in the primary family).
    """
    keys = ["client_node", "ip_family"]
    syncs = pd.DataFrame(
        [
            (event.t_ns, event.node, event.detail["ip_family"], event.resource_version)
            for event in events
            if (event.source, event.kind) == ("proxy", "sync") and not event.detail.get("error")
        ],
        columns=pd.Index(("synced_ns", *keys, "node_rules_rv")),
    ).astype({"synced_ns": "int64", "node_rules_rv": "Int64"} | dict.fromkeys(keys, "string"))
    primary = next(iter(syncs["ip_family"]), FAMILY_NAMES[4])
    keyed = samples.drop(columns="node_rules_rv", errors="ignore").assign(
        began_ns=samples["start_ns"].astype("int64"),
        client_node=samples["client_node"].astype("string"),
        ip_family=_dialled_families(samples["target"], primary),
        row=range(len(samples)),
    )
    joined = pd.merge_asof(
        keyed.sort_values("began_ns"),
        syncs.sort_values("synced_ns"),
        left_on="began_ns",
        right_on="synced_ns",
        by=keys,
    )
    return joined.sort_values("row").drop(columns=["row", "began_ns", "synced_ns", "ip_family"])


def _dialled_families(targets: pd.Series[str], primary: str) -> pd.Series[str]:
    """By `10.96.0.3:80` or `[fd00::3]:80`."""
    ipv6 = targets.astype("string").str.startswith("[")
    return (
        ipv6.map({True: FAMILY_NAMES[6], False: FAMILY_NAMES[4]}).fillna(primary).astype("string")
    )


def pod_names(view: Mapping[str, Any], events: Sequence[Event]) -> dict[str, str]:
    """The pod behind each address, also of pods that came during the trial."""
    later = {
        str(ip): event.object.rpartition("/")[2]
        for event in events
        if event.source == "store" and event.kind.startswith("pod-")
        for ip in event.detail.get("pod_ips", ())
    }
    return later | {
        ip: pod.name.rpartition("/")[2] for pod in pods_of(view).values() for ip in pod.ips
    }


def _picks(recording: Recording) -> dict[str, list[Pick]]:
    """What proxies that are processes picked, by node."""
    found: dict[str, list[Pick]] = {}
    for node, path in recording.picks:
        found.setdefault(node, []).extend(picks(path.read_bytes()))
    return found


def _past_proxies(entries: pd.DataFrame, view: Mapping[str, Any]) -> pd.DataFrame:
    """Without connections that end at an ingress controller: it is no backend, and dials these itself."""
    ends = {
        ip
        for pod in view["pods"]
        if pod["namespace"] == INGRESS_NAMESPACE
        for ip in pod.get("ips") or ()
    }
    return entries[~entries["reply_src_ip"].isin(ends)] if ends else entries


def kernel_counters(recording: Recording) -> dict[str, int]:
    """What all nodes' connection tables lost, and how many of their events the recorder missed."""
    totals = {"records_lost": recording.lost}
    for counters in recording.counters.values():
        for name in ("insert_failed", "drop", "early_drop"):
            totals[name] = totals.get(name, 0) + int(counters.get(name, 0))
    return totals


def collect(
    trial: Trial,
    view: Mapping[str, Any],
    loads: Sequence[FinishedLoad],
    recording: Recording,
    events: Sequence[Event],
) -> TrialRecord:
    """The record of a trial that came to its end: samples joined with what the kernel picked."""
    read = _past_proxies(read_entries(recording.entries), view)
    entries = with_picks(read, _picks(recording))
    entries, in_turn = told_apart(entries, tenants(events))
    names = pod_names(view, events) | in_turn
    logs = {pod: read_accept_log(path) for pod, path in recording.accept_logs.items()}
    accepted = {pod: log.rows for pod, log in logs.items()}
    samples = join(samples_of(loads, view), entries, names)
    return TrialRecord(
        trial=trial,
        started_ns=0,
        ended_ns=0,
        samples=with_rules_version(samples, events),
        ledger=ledger(samples, entries, accepted, names),
        events=tuple(events),
        rules={},
        kernel=kernel_counters(recording)
        | {"accepts_lost": sum(log.lost for log in logs.values())},
        mode=str(view.get("proxy", "")),
    )
