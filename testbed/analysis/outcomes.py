"""How requests ended: what counts as failed, and tables of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from testbed.traffic.samples import OUTCOMES


def failed(samples: pd.DataFrame) -> pd.Series[Any]:
    """True for each request that failed; one still in flight at the end (censored) did not."""
    return ~samples["outcome"].isin(("ok", "censored"))


def failed_share(
    trials: Iterable[tuple[pd.DataFrame, float]], bin_s: float, before_s: float
) -> pd.Series[float]:
    """Of the requests due in each bin, of all trials together, by the bin's begin in seconds after the
    trial's instant; from `before_s` before it, as far as half of the trials went.

    `trials`: (samples of one stream, the instant in ns).
    """
    parts = []
    for number, (samples, t0_ns) in enumerate(trials):
        at_s = np.floor((samples["scheduled_ns"] - t0_ns) / 1e9 / bin_s) * bin_s
        parts.append(pd.DataFrame({"at_s": at_s, "failed": failed(samples), "trial": number}))
    if not parts:
        return pd.Series(dtype=float)
    grouped = pd.concat(parts).groupby("at_s")
    share = grouped["failed"].mean()
    return share[(grouped["trial"].nunique() >= len(parts) / 2) & (share.index >= -before_s)]


def outcome_counts(samples: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """A row per combination of `by`, a column per outcome that occurred, then `offered` (all).

    Censored requests are offered, and neither ok nor failed.
    """
    counts = (
        samples.groupby([*by, "outcome"], observed=True).size().unstack("outcome", fill_value=0)
    ).rename(columns=str)  # of categories: "offered" is none
    present = [name for name in OUTCOMES if name in counts.columns]
    return counts[present].assign(offered=counts.sum(axis=1)).reset_index()
