"""What the kernel picked, in its order: the raw material of every balance figure."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from testbed.analysis.once import once_per_run
from testbed.analysis.run import Run

Unit = Literal["connection", "request"]

ALL_CLIENTS = "all clients"
"""The scope that joins every client node."""


_READ = (
    *("trial", "stream", "client_node", "client", "connection", "target", "picked_backend"),
    *("start_ns", "resolved_ns", "picked_ns"),
)


@once_per_run
def picks(run: Run, unit: Unit, stream: str = "main") -> pd.DataFrame:
    """A row per pick: trial, client_node, target, backend, t_ns; in the kernel's order.

    Failed requests count wherever the kernel's pick is known. The kernel picks once per connection;
    the unit `request` counts that pick once for every request that the connection carried. Texts are
    categories.
    """
    table = _requests_with_picks(run, stream)
    if unit == "connection":
        table = table.drop_duplicates(["trial", "client", "connection"])
    return table.drop(columns=["client", "connection"]).reset_index(drop=True)


@once_per_run
def _requests_with_picks(run: Run, stream: str) -> pd.DataFrame:
    samples = run.requests.columns(*_READ)
    if "stream" in samples.columns:
        samples = samples[samples["stream"] == stream]
    samples = samples[samples["picked_backend"].notna()]
    return pd.DataFrame(
        {
            "trial": samples["trial"],
            "client_node": samples["client_node"],
            "client": samples["client"],
            "connection": samples["connection"],
            "target": samples["target"],
            "backend": samples["picked_backend"],
            "t_ns": kernel_order_ns(samples),
        }
    ).sort_values(["trial", "t_ns"], kind="stable")


def kernel_order_ns(samples: pd.DataFrame) -> pd.Series[float]:
    """When the kernel made the entry of each request's connection.

    `picked_ns` (conntrack's own time) where it was recorded, else the moment before the first
    packet left: the end of name resolution, or the start.
    """
    order = samples["start_ns"].astype(float)
    for column in ("resolved_ns", "picked_ns"):
        if column in samples.columns:
            better = samples[column].astype(float)
            order = better.where(better.notna() & (better > 0), order)
    return order


def backends_of(run: Run, table: pd.DataFrame) -> dict[object, tuple[str, ...]]:
    """Every backend of each trial, also those that were never picked.

    They are known from the ledger and the picks; where the factor `replicas` says that there were
    more, the rest is called `never picked 1`, …: a share of zero must not vanish.
    """
    replicas: dict[object, int] = (
        dict(zip(run.trials["trial"], run.trials["replicas"], strict=True))
        if "replicas" in run.trials.columns
        else {}
    )
    found: dict[object, tuple[str, ...]] = {}
    for trial in run.trials["trial"]:
        seen = set(table.loc[table["trial"] == trial, "backend"])
        if not run.ledger.empty:
            seen |= set(run.ledger.loc[run.ledger["trial"] == trial, "backend"].dropna())
        missing = int(replicas.get(trial, 0)) - len(seen)
        rest = tuple(f"never picked {index + 1}" for index in range(missing))
        found[trial] = (*sorted(map(str, seen)), *rest)
    return found


def sequences(table: pd.DataFrame, backends: tuple[str, ...]) -> list[NDArray[np.int64]]:
    """One trial's picks as indices into `backends`: a sequence per client node and service.

    Each node's kernel picks on its own, so a transition from one node's pick to another's means
    nothing.
    """
    index = {name: position for position, name in enumerate(backends)}
    return [
        np.asarray(group["backend"].map(index), dtype=np.int64)
        for _, group in table.groupby(["client_node", "target"], sort=True, dropna=False)
    ]
