"""Names made from a hash, in the alphabet and shape of Kubernetes' generated names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Kubernetes' k8s.io/apimachinery/pkg/util/rand: no vowels, no look-alikes."""


def name_hash(value: object, length: int) -> str:
    """`length` characters that depend on the value alone, whatever the order of its mappings."""
    text = json.dumps(value, default=_plain, sort_keys=True)
    number = int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
    letters = []
    for _ in range(length):
        number, index = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[index])
    return "".join(letters)


def _plain(value: object) -> Any:
    if is_dataclass(value):
        shape = {field.name: getattr(value, field.name) for field in fields(value)}
        return {"type": type(value).__name__, **shape}
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no canonical text")
