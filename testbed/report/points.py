"""How a figure shows an arm: each trial, and the mean over trials with its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from testbed.analysis.intervals import over_trials
from testbed.report import style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def trials_and_mean(axes: Axes, x: float, column: pd.Series[float], look: tuple[str, str]) -> None:
    """A grey dot per trial, a mark of this colour and shape for the mean with its 95 % interval."""
    values = column.dropna().to_numpy(dtype=float)
    axes.plot(np.full(values.size, x), values, "o", color=style.GREY, markersize=3)
    mean = over_trials(values)
    if mean.low is not None and mean.high is not None:
        axes.errorbar([x], [mean.estimate],
                      yerr=[[mean.estimate - mean.low], [mean.high - mean.estimate]], fmt=look[1],
                      markersize=6, color=look[0], capsize=4, linewidth=1.6)  # fmt: skip
