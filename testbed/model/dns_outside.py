"""Of `dns`: the zone outside the cluster, in which its services have names for everybody else."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator

from testbed.model.ip_text import address_mistake
from testbed.model.scalars import Duration, Text
from testbed.model.strict import Strict

_LABEL = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
Zone = Annotated[Text, Field(pattern=rf"^{_LABEL}(\.{_LABEL})*$", max_length=200)]
_LONGEST_TTL_S = 2**31 - 1


def _target(value: Any) -> tuple[str, ...]:
    """An address, some addresses, or a name that it is another one for."""
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not listed:
        raise ValueError("must be an address, a list of addresses, or a name with a final dot")
    for one in listed:
        if not isinstance(one, str) or (address_mistake(one) and not one.endswith(".")):
            raise ValueError(f"{one!r} is no address; a name is written with its final dot")
    if len(listed) > 1 and any(one.endswith(".") for one in listed):
        raise ValueError("an alias has one target, and nothing beside it")
    return tuple(listed)


Target = Annotated[
    tuple[Text, ...], BeforeValidator(_target, json_schema_input_type=str | list[str])
]


class OutsideZone(Strict):
    """Names of services for clients outside the cluster, written as external-dns does."""

    zone: Zone = Field(description="its name, as in example.test")
    host: Text = Field(
        "",
        description="the outside host that its server runs on; without: beside the control plane",
    )
    ttl: int = Field(
        300, description="seconds, of names without an annotation", ge=1, le=_LONGEST_TTL_S
    )
    interval_s: Duration = Field(
        0.0,
        alias="interval",
        description="least time from one writing to the next (external-dns's --interval); 0s: what "
        "changes is written at once",
    )
    records: dict[Text, Target] = Field(
        {},
        description="further names in it -> an address, several, or the name they stand for; every "
        "outside host has one already",
    )

    @field_validator("records")
    @classmethod
    def _are_names(cls, value: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for name in value:
            if not name or name.endswith(".") or " " in name or name != name.lower():
                raise ValueError(f"{name!r} is no name in the zone; it is like db or *.dev")
        return value


def _spelled_out(value: Any) -> Any:
    """`outside: example.test` is in short its zone."""
    return {"zone": value} if isinstance(value, str) else value


OutsideKey = Annotated[
    OutsideZone | None,
    BeforeValidator(_spelled_out, json_schema_input_type=str | OutsideZone | None),
]
