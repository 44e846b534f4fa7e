"""Amounts of resources: `500m`, `1Gi`, `1e3`.

Source: apimachinery's `pkg/api/resource/quantity.go`.
"""

from __future__ import annotations

import re
from decimal import Decimal

_SUFFIXES = {
    **{"n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1)},
    **{name: Decimal(1000) ** (index + 1) for index, name in enumerate("kMGTPE")},
    **{f"{name}i": Decimal(1024) ** (index + 1) for index, name in enumerate("KMGTPE")},
}
_PARTS = re.compile(r"([+-]?[0-9.]+)(?:[eE]([+-]?\d+)|([A-Za-z]*))")
_LARGEST_EXPONENT = 100


def quantity(text: str) -> Decimal:
    """How much a text that is an amount says."""
    parts = _PARTS.fullmatch(text)
    if parts is None:
        raise ValueError(f"{text!r} is no quantity")
    number, exponent, suffix = parts.groups()
    if exponent is not None:
        size = max(-_LARGEST_EXPONENT, min(int(exponent), _LARGEST_EXPONENT))
        return Decimal(number).scaleb(size)
    return Decimal(number) * _SUFFIXES[suffix]
