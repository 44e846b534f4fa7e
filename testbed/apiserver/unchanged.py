"""What an update leaves as it is stays as it is stored: defaults that nobody has said are not written down.

A Deployment whose stored template says less than its clients are shown would otherwise roll out all its pods
anew when somebody labels it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]


def as_stored(now: Json, then: Json, stored: Json) -> dict[str, Any]:
    """`now`, but what of it is as in `then` is as in `stored`; defaults are filled in both `now` and `then`."""
    kept = {}
    for key, value in now.items():
        before, raw = then.get(key), stored.get(key)
        if key in then and value == before:
            if key in stored:
                kept[key] = raw
        elif isinstance(value, Mapping) and isinstance(before, Mapping):
            kept[key] = as_stored(value, before, raw if isinstance(raw, Mapping) else {})
        else:
            kept[key] = value
    return kept
