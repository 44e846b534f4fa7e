"""How long requests took against the direct way to a pod, trial by trial."""

from __future__ import annotations

import pandas as pd

from testbed.analysis.run import Run


def over_direct(run: Run, stream: str = "main", control: str = "control") -> pd.DataFrame:
    """A row per trial: trial, latency_over_direct.

    The median latency of the requests that were answered, over that of the control's, which dials
    a pod itself in the same trial: of an open loop from the scheduled time.
    """
    samples = run.requests.columns(
        "trial", "stream", "outcome", "scheduled_ns", "start_ns", "end_ns"
    )
    answered = samples[samples["outcome"] == "ok"]
    began = answered["scheduled_ns"].astype(float).fillna(answered["start_ns"].astype(float))
    took = answered.assign(took_ns=answered["end_ns"].astype(float) - began)
    medians = took.pivot_table(index="trial", columns="stream", values="took_ns", aggfunc="median")
    medians = medians.rename(index=str, columns=str)
    for name in (stream, control):
        if name not in medians.columns:
            medians[name] = float("nan")
    ratio = (medians[stream] / medians[control]).rename("latency_over_direct")
    return ratio.rename_axis("trial").reset_index()
