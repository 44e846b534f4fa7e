"""A gate on the comparison of two runs: which metrics are worse than somebody is ready to accept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

from testbed.analysis.compare import Row
from testbed.errors import UsageError
from testbed.spelling import did_you_mean

Worse = Literal["more", "less"]
Judgement = Literal["passes", "worse", "undecided", "not judged"]

WORSE: tuple[tuple[str, Worse | None], ...] = (
    ("random_cv", None),  # what chance alone would show
    ("offered_*", None),
    ("jain", "less"),
    ("*_rps", "less"),
    ("cv", "more"),
    ("*_cv", "more"),
    ("max_over_mean", "more"),
    ("share_error_max", "more"),
    ("failed_*", "more"),
    ("stale_*", "more"),
    ("*_over_direct", "more"),
    ("*_mib", "more"),
    *((f"*_{unit}{end}", "more") for unit in ("ns", "us", "ms", "s") for end in ("", "_max")),
)
"""Which way a metric is worse, by the first pattern that its name fits; None, or no pattern: neither
way (a share, an entropy, a count of requests is what it is)."""


def worse_way(metric: str) -> Worse | None:
    """Which way the metric is worse; None: neither."""
    return next((way for pattern, way in WORSE if fnmatchcase(metric, pattern)), None)


@dataclass(frozen=True, slots=True)
class Margin:
    """How much worse is accepted: a share of the first run's mean (`relative`), or in the metric's unit."""

    value: float
    relative: bool

    def of(self, mean: float) -> float:
        """The margin in the metric's unit."""
        return self.value * abs(mean) if self.relative else self.value

    def __str__(self) -> str:
        return f"{self.value * 100:g} %" if self.relative else f"{self.value:g}"


@dataclass(frozen=True, slots=True)
class Margins:
    """`common` is for every metric that `single` does not name; None: those are not judged."""

    common: Margin | None = None
    single: Mapping[str, Margin] = field(default_factory=dict)

    def of(self, metric: str) -> Margin | None:
        return self.single.get(metric, self.common)


@dataclass(frozen=True, slots=True)
class Judged:
    """`worsening` and its limits are differences turned so that more is worse; None: unknown."""

    row: Row
    margin: Margin | None
    worse: Worse | None
    verdict: Judgement

    def to_json(self) -> dict[str, Any]:
        return {"worse": self.worse, "margin": self.margin and str(self.margin),
                "verdict": self.verdict}  # fmt: skip


def margins(texts: Sequence[str]) -> Margins:
    """`5%` for all metrics, `recover_ms=200` or `cv=10%` for one. Raises UsageError."""
    common: Margin | None = None
    single: dict[str, Margin] = {}
    for text in texts:
        name, equals, amount = text.rpartition("=")
        margin = _margin(text, amount)
        if equals:
            single[name] = margin
        elif not margin.relative:
            raise UsageError(
                f"--fail-worse {text}: metrics have different units",
                f"say a percentage, or of which metric: --fail-worse METRIC={text}",
            )
        else:
            common = margin
    return Margins(common, single)


def _margin(text: str, amount: str) -> Margin:
    digits = amount.removesuffix("%")
    try:
        value = float(digits)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise UsageError(
            f"--fail-worse {text}: {amount or 'nothing'} is no margin",
            "such as 5% or recover_ms=200",
        )
    return Margin(value / 100, True) if amount != digits else Margin(value, False)


def judged(rows: Sequence[Row], accepted: Margins) -> tuple[Judged, ...]:
    """Each row with its verdict.

    `worse`: the difference is real, and its whole 95 % interval is worse than the margin. `passes`: the
    whole interval is better than that. Else `undecided`: these trials show neither. Raises UsageError
    for margins of metrics that the runs do not have or that are worse neither way.
    """
    known = {row.metric for row in rows}
    for name in accepted.single:
        if name not in known:
            hint = did_you_mean(name, known)
            raise UsageError(
                f"--fail-worse {name}: the runs have no such metric",
                hint or f"they have {', '.join(sorted(known))}",
            )
        if worse_way(name) is None:
            raise UsageError(
                f"--fail-worse {name}: neither more nor less of it is worse", "leave it out"
            )
    return tuple(_judged(row, accepted.of(row.metric)) for row in rows)


def _judged(row: Row, margin: Margin | None) -> Judged:
    way = worse_way(row.metric)
    if way is None or margin is None:
        return Judged(row, margin, way, "not judged")
    low, high = (
        (row.ci_low, row.ci_high) if way == "more" else (_minus(row.ci_high), _minus(row.ci_low))
    )
    if row.mean_a is None or (low is None and high is None):
        return Judged(row, margin, way, "undecided")
    limit = margin.of(row.mean_a)
    if row.real and low is not None and low > limit:
        return Judged(row, margin, way, "worse")
    if high is not None and high <= limit:
        return Judged(row, margin, way, "passes")
    return Judged(row, margin, way, "undecided")


def _minus(value: float | None) -> float | None:
    return None if value is None else -value
