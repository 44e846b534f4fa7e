"""The start of a text's SHA-256 in base32: what kube-proxy tells chains apart by, in every mode."""

from __future__ import annotations

from hashlib import sha256

_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_PAIRS = tuple(high + low for high in _DIGITS for low in _DIGITS)
"""Two characters of base32 for every ten bits: base64.b32encode takes three times as long, and a large
cluster has a hundred thousand names."""


def eight_characters(text: str) -> str:
    """They spell 5 bytes."""
    bits, pairs = int.from_bytes(sha256(text.encode()).digest()[:5]), _PAIRS
    return (
        f"{pairs[bits >> 30]}{pairs[bits >> 20 & 1023]}{pairs[bits >> 10 & 1023]}"
        f"{pairs[bits & 1023]}"
    )


def sixteen_characters(text: str) -> str:
    """They spell 10 bytes."""
    bits, pairs = int.from_bytes(sha256(text.encode()).digest()[:10]), _PAIRS
    return (
        f"{pairs[bits >> 70]}{pairs[bits >> 60 & 1023]}{pairs[bits >> 50 & 1023]}"
        f"{pairs[bits >> 40 & 1023]}{pairs[bits >> 30 & 1023]}{pairs[bits >> 20 & 1023]}"
        f"{pairs[bits >> 10 & 1023]}{pairs[bits & 1023]}"
    )
