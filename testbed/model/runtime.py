"""The topology's `runtime`: what nodes and pods are made of."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from testbed.model.scalars import EmptyIfNothing, Text
from testbed.model.strict import Strict

NodesAs = Literal["netns", "docker", "mininet"]
PodsAs = Literal["netns", "docker"]
_IN_SHORT: dict[str, dict[str, str]] = {
    "netns": {},
    "docker": {"nodes": "docker", "pods": "docker"},
    "mininet": {"nodes": "mininet"},
}


class Docker(Strict):
    """Of what is a container of the Docker daemon."""

    image: Text = Field(
        "busybox", description="of nodes: any image, whatever it runs", min_length=1
    )
    missing_image: Literal["stand-in", "wait"] = Field(
        "stand-in",
        description="a pod's image that the daemon neither has nor can pull: the program that stands "
        "for it in other labs (and the pod's status says so), or wait for it as Kubernetes does",
    )


class Runtime(Strict):
    """What nodes and pods are made of."""

    nodes: NodesAs = Field("netns", description="network namespaces, containers or Mininet's hosts")
    pods: PodsAs = Field("netns", description="network namespaces, or containers of their images")
    docker: Annotated[Docker, EmptyIfNothing] = Field(Docker(), description="of containers")

    @property
    def uses_docker(self) -> bool:
        return "docker" in (self.nodes, self.pods)


def _spelled_out(value: Any) -> Any:
    """`runtime: docker` is in short that nodes and pods are; Mininet has no pods."""
    if value is None:
        return {}
    if not isinstance(value, str):
        return value
    if value not in _IN_SHORT:
        raise ValueError(f"must be {', '.join(_IN_SHORT)} or a mapping of nodes and pods")
    return _IN_SHORT[value]


RuntimeKey = Annotated[
    Runtime,
    BeforeValidator(
        _spelled_out, json_schema_input_type=Literal["netns", "docker", "mininet"] | Runtime | None
    ),
]
