"""The topology's `network.cni`: what joins pods to their node, and what joins nodes' pods to each other."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    model_serializer,
    model_validator,
)

from testbed.model.fields import kind_of
from testbed.model.scalars import Text
from testbed.model.strict import Strict

PLUGIN_PATH = ("/opt/cni/bin", "/usr/lib/cni")
"""Where plug-ins are: Kubernetes' place, and that of Debian's package containernetworking-plugins."""
Routes = Literal["host-gw", "vxlan", "bgp", "weave", "none"]
_IN_SHORT = ("host-gw", "vxlan", "bgp", "weave")


def _is_read(value: Any) -> Any:
    if isinstance(value, str):
        raise ValueError("names a file, which only `testbed.model.loader` reads")
    if not isinstance(value, dict):
        raise ValueError(f"must be a file's name, or the list itself, not {kind_of(value)}")
    return value


class CNI(Strict):
    """How pods get their network."""

    routes: Routes = Field("host-gw", description="how pods of different nodes reach each other")
    conflist: (
        Annotated[
            dict[str, Any],
            BeforeValidator(_is_read),
            WithJsonSchema({"type": ["string", "object"]}),
        ]
        | None
    ) = Field(
        None,
        description="a CNI configuration list, whose plug-ins wire the pods: a file beside the "
        "topology, or in line (the testbed's own links)",
    )
    path: tuple[Text, ...] = Field(
        PLUGIN_PATH, description="folders that its plug-ins are looked up in", min_length=1
    )

    @model_validator(mode="after")
    def _has_plugins(self) -> CNI:
        if self.conflist is None and self.routes == "none":
            raise ValueError("routes: none needs a conflist, whose plug-ins then join the nodes")
        return self

    @model_serializer(mode="wrap")
    def _in_short(self, plain: SerializerFunctionWrapHandler) -> Any:
        """As people write it: without plug-ins a word."""
        return self.routes if self.conflist is None else plain(self)


def _spelled_out(value: Any) -> Any:
    """`cni: vxlan` is in short for its routes."""
    if value is None:
        return {}
    if not isinstance(value, str):
        return value
    if value not in _IN_SHORT:
        raise ValueError(
            f"{value[:40]!r} is none of {', '.join(_IN_SHORT)}; "
            "or write conflist: and the file of a CNI configuration list"
        )
    return {"routes": value}


CNIKey = Annotated[
    CNI,
    BeforeValidator(_spelled_out, json_schema_input_type=Literal[_IN_SHORT] | CNI | None),
]
