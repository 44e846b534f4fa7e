"""`runtime` in short and in full, and what it does to the choice of a kernel."""

from __future__ import annotations

import pytest

from testbed.model.runtime import Runtime
from testbed.model.topology import Topology


@pytest.mark.parametrize(
    ("written", "nodes", "pods"),
    [
        (None, "netns", "netns"),
        ("netns", "netns", "netns"),
        ("docker", "docker", "docker"),
        ("mininet", "mininet", "netns"),
        ({"nodes": "docker"}, "docker", "netns"),
        ({"pods": "docker"}, "netns", "docker"),
        ({"nodes": "mininet", "pods": "docker"}, "mininet", "docker"),
    ],
)
def test_what_is_written_in_short_is_spelled_out(written: object, nodes: str, pods: str) -> None:
    found = Topology.model_validate({"name": "shop", "nodes": {"n1": {}}, "runtime": written})
    assert (found.runtime.nodes, found.runtime.pods) == (nodes, pods)
    assert found.runtime.uses_docker is ("docker" in (nodes, pods))
    again = Topology.model_validate(found.model_dump(mode="json", by_alias=True))
    assert again.runtime == found.runtime


def test_without_the_key_everything_is_a_namespace() -> None:
    assert Topology.model_validate({"name": "shop", "nodes": {"n1": {}}}).runtime == Runtime()
