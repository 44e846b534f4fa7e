"""Durations, rates and sizes as people write them, and the numbers they stand for."""

from __future__ import annotations

import re

_DURATION_S = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)")

_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:bit|bps)", re.IGNORECASE)
_RATE_BPS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}


def duration_s(text: str | float) -> float:
    """Seconds of a duration such as `1s`, `250ms`, `1m30s`; a bare number is seconds.

    Raises ValueError, with what would be right, for anything else.
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        if text < 0:
            raise ValueError(f"{text!r} is negative; a duration is like 10s, 250ms or 1m30s")
        return float(text)
    stripped = str(text).strip()
    if re.fullmatch(r"\d+(\.\d+)?", stripped):
        return float(stripped)
    if not re.fullmatch(rf"(?:{_PART.pattern})+", stripped):
        raise ValueError(f"{text!r} is not a duration; write it like 10s, 250ms or 1m30s")
    return sum(float(value) * _DURATION_S[unit] for value, unit in _PART.findall(stripped))


def fraction(text: str | float) -> float:
    """A share of `5%` or `0.05`, from 0 to 1. Raises ValueError, with what would be right."""
    try:
        number = str(text).strip()
        share = float(number[:-1]) / 100 if number.endswith("%") else float(number)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ValueError(f"{text!r} is not a share; write it like 5% or 0.05")
    return share


def rate_bps(text: str | float) -> float:
    """Bits a second of a rate such as `100mbit` or `1gbit`; a bare number is bits a second.

    Raises ValueError, with what would be right, for anything else.
    """
    if isinstance(text, int | float) and not isinstance(text, bool) and text > 0:
        return float(text)
    found = _RATE.fullmatch(str(text).strip())
    if found is None or not float(found[1]):
        raise ValueError(f"{text!r} is not a rate; write it like 100mbit or 1gbit")
    return float(found[1]) * _RATE_BPS[found[2].lower()]


def pretty_s(seconds: float) -> str:
    """A duration for people: `850 µs`, `12.3 ms`, `4.56 s`, `2 min 5 s`."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{int(seconds // 60)} min {seconds % 60:.0f} s"


def pretty_bps(rate: float) -> str:
    """A rate in bits per second for people: `1 Gbit/s`, `250 kbit/s`."""
    for unit, size in (("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3)):
        if rate >= size:
            return f"{rate / size:g} {unit}"
    return f"{rate:g} bit/s"
