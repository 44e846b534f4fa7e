"""The topology's `underlay`: a Mininet Topo as machines and links."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from testbed.model.scalars import Text
from testbed.model.strict import Strict


def nodes_or_underlay(schema: dict[str, Any]) -> None:
    """A file has nodes, or the Topo's hosts are the nodes."""
    schema["required"].remove("nodes")
    schema["anyOf"] = [{"required": ["nodes"]}, {"required": ["underlay"]}]


class MininetUnderlay(Strict):
    """Where the machines and links come from, which are written under `links:` otherwise."""

    mininet: Text = Field(
        description="a Topo: FILE.py:CLASS beside the topology, or Mininet's own: minimal, single, "
        "reversed, linear, tree, torus",
        min_length=1,
    )
    args: dict[str, Any] | tuple[Any, ...] = Field(
        {}, description="what its build is called with, by name or in order"
    )
