"""The topology's scalar types: how people write them, what they become, what is said when wrong.

Each type is an `Annotated` whose validator raises ValueError with what would be right.
"""

from __future__ import annotations

import math
import re
from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from testbed.model.fields import kind_of
from testbed.model.ip_text import address_mistake, cidr_mistake
from testbed.model.metadata_read import NAME_HINT, is_label_name
from testbed.units import duration_s, rate_bps

LONGEST_S = 1e7
"""No duration of a topology is longer (some four months)."""


def _duration(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"must be a duration like 10s, 250ms or 1m30s, not {kind_of(value)}")
    if isinstance(value, str) and len(value) > 40:
        raise ValueError("is not a duration; write it like 10s, 250ms or 1m30s")
    seconds = duration_s(value)
    if not math.isfinite(seconds) or seconds > LONGEST_S:
        raise ValueError("is too long a duration")
    return seconds


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"a name must be a text, not {kind_of(value)}; put it in quotes")
    if not is_label_name(value):
        raise ValueError(f"{value[:80]!r} is no name; {NAME_HINT}")
    return value


def _rate(value: Any) -> float:
    if isinstance(value, float) and math.isfinite(value) and value > 0:
        return value  # a resolved topology, read back
    with suppress(ValueError):
        if isinstance(value, str) and len(value) < 40:
            return rate_bps(value)
    raise ValueError(f"must be a rate like 1gbit or 100mbit, not {kind_of(value)}")


def _fraction(value: Any) -> float:
    percent = isinstance(value, str) and len(value) < 40 and value.strip().endswith("%")
    try:
        if isinstance(value, bool):
            raise ValueError
        fraction = float(value.strip()[:-1]) / 100 if percent else float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"must be a share like 0.1%, not {kind_of(value)}") from None
    if not 0 <= fraction <= 1:
        raise ValueError("must be from 0% to 100%")
    return fraction


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be a text, not {kind_of(value)}; put it in quotes")
    return value


def _target_port(value: Any) -> int | str:
    if isinstance(value, str) and re.fullmatch(r"(?=.*[a-z])[a-z0-9-]{1,15}", value):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65535:
        return value
    raise ValueError(f"must be a port from 1 to 65535 or a port's name, not {kind_of(value)}")


def _fake(value: Any) -> bool | int:
    if isinstance(value, bool) or (isinstance(value, int) and 1 <= value <= MOST_FAKES):
        return value
    raise ValueError(f"must be true, or a number from 1 to {MOST_FAKES}, not {kind_of(value)}")


def _address(value: Any) -> str:
    mistake = address_mistake(_text(value))
    if mistake:
        raise ValueError(mistake)
    return str(value)


def _cidr(value: Any) -> str:
    mistake = cidr_mistake(_text(value))
    if mistake:
        raise ValueError(mistake)
    return str(value)


def _node_addresses(value: Any) -> str:
    return "primary" if value == "primary" else _cidr(value)


def _manifest(value: Any) -> Any:
    if not isinstance(value, str | dict):
        raise ValueError(f"must be a file name or a Kubernetes object, not {kind_of(value)}")
    return value


def _nothing_is_empty(value: Any) -> Any:
    return {} if value is None else value


Duration = Annotated[
    float,
    BeforeValidator(_duration),
    WithJsonSchema(
        {
            "type": ["string", "number"],
            "description": "10s, 250ms, 1m30s; a bare number is seconds",
            "examples": ["1s", "250ms"],
        }
    ),
]
Name = Annotated[str, BeforeValidator(_name)]
Text = Annotated[str, BeforeValidator(_text)]
Address = Annotated[str, BeforeValidator(_address)]
CIDR = Annotated[str, BeforeValidator(_cidr)]
NodeAddresses = Annotated[str, BeforeValidator(_node_addresses)]
"""A CIDR that holds some of a node's addresses, or `primary`."""
Rate = Annotated[
    float,
    BeforeValidator(_rate),
    WithJsonSchema({"type": ["string", "number"], "examples": ["1gbit", "100mbit"]}),
]
Fraction = Annotated[
    float,
    BeforeValidator(_fraction),
    WithJsonSchema({"type": ["string", "number"], "examples": ["0.1%"]}),
]
MTU = Annotated[int, Field(ge=576, le=65535, strict=True)]
Port = Annotated[int, Field(ge=1, le=65535, strict=True)]
Protocol = Literal["TCP", "UDP", "SCTP"]
Count = Annotated[int, Field(ge=0, le=100_000, strict=True)]
MOST_FAKES = 100_000
Fake = Annotated[
    bool | int,
    BeforeValidator(_fake),
    WithJsonSchema(
        {"anyOf": [{"type": "boolean"}, {"type": "integer", "minimum": 1, "maximum": MOST_FAKES}]}
    ),
]
"""Whether it exists only as an object; a number: so many of them do."""
TargetPort = Annotated[
    int | str,
    BeforeValidator(_target_port),
    WithJsonSchema({"type": ["integer", "string"], "examples": [8080, "http"]}),
]
Manifest = Annotated[
    Any, BeforeValidator(_manifest), WithJsonSchema({"type": ["string", "object"]})
]
EmptyIfNothing = BeforeValidator(_nothing_is_empty)
"""`n1:` without a value means `n1: {}`."""
