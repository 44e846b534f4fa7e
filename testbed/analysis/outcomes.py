"""How requests ended: what counts as failed, and tables of it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from testbed.traffic.samples import OUTCOMES


def failed(samples: pd.DataFrame) -> pd.Series[Any]:
    """True for each request that failed; one still in flight at the end (censored) did not."""
    return ~samples["outcome"].isin(("ok", "censored"))


def outcome_counts(samples: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """A row per combination of `by`, a column per outcome that occurred, then `offered` (all).

    Censored requests are offered, and neither ok nor failed.
    """
    counts = (
        samples.groupby([*by, "outcome"], observed=True).size().unstack("outcome", fill_value=0)
    ).rename(columns=str)  # of categories: "offered" is none
    present = [name for name in OUTCOMES if name in counts.columns]
    return counts[present].assign(offered=counts.sum(axis=1)).reset_index()
