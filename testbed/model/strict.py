"""How every part of a topology is read: frozen, no unknown keys, no silent conversion of types."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


def camel(name: str) -> str:
    """`pod_cidr` -> `podCidr`; keys that Kubernetes spells otherwise have an alias."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


class Strict(BaseModel):
    """A mapping with known keys; camelCase in YAML, snake_case in Python."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=camel,
        hide_input_in_errors=True,
    )
