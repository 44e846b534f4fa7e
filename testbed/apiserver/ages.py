"""How long ago, as `kubectl get` says it; times of manifests in seconds of the Unix epoch."""

from __future__ import annotations

import math
from datetime import UTC, datetime

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_YEAR = 365 * _DAY
_STEPS: tuple[tuple[float, tuple[int, str], tuple[int, str] | None], ...] = (
    (2 * _MINUTE, (1, "s"), None),
    (10 * _MINUTE, (_MINUTE, "m"), (1, "s")),
    (3 * _HOUR, (_MINUTE, "m"), None),
    (8 * _HOUR, (_HOUR, "h"), (_MINUTE, "m")),
    (2 * _DAY, (_HOUR, "h"), None),
    (8 * _DAY, (_DAY, "d"), (_HOUR, "h")),
    (2 * _YEAR, (_DAY, "d"), None),
    (8 * _YEAR, (_YEAR, "y"), (_DAY, "d")),
    (math.inf, (_YEAR, "y"), None),
)
"""Below how many seconds: the unit, and the smaller one that is told beside it."""


def age(seconds: float) -> str:
    """A duration with the precision that its size deserves: 90s, 5m10s, 3h, 2d4h, 3y20d.

    Source: apimachinery's `duration.HumanDuration`.
    """
    if seconds <= -2:
        return "<invalid>"
    whole = max(int(seconds), 0)
    (size, name), smaller = next((unit, rest) for below, unit, rest in _STEPS if whole < below)
    told = f"{whole // size}{name}"
    rest = whole % size // smaller[0] if smaller else 0
    return f"{told}{rest}{smaller[1]}" if smaller and rest else told


def unix_s(text: object) -> float | None:
    """Seconds of the Unix epoch of an RFC 3339 time; None: it is none."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return None


def rfc3339(time_s: float) -> str:
    """A time of the Unix epoch, to the second."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ago(text: object, now_s: float) -> str:
    """How long ago a manifest's time is; `<unknown>` where it has none."""
    then_s = unix_s(text) if text else None
    return "<unknown>" if then_s is None else age(now_s - then_s)
