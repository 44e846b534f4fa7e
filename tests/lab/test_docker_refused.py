"""Labs of containers, where they cannot be: what is missing is named before anything starts."""

from __future__ import annotations

import os

import pytest

from tests.lab.conftest import User

pytestmark = pytest.mark.lab


def test_up_says_what_containers_take(user: User) -> None:
    file = user.file("c.yaml", "{name: c, nodes: {n1: {}}, runtime: docker}")
    done = user.testbed("up", file, env={"DOCKER_HOST": "unix:///nowhere/docker.sock"})
    assert done.returncode == 3
    ordinary = bool(user.prefix) or os.geteuid() != 0
    said = (
        "runtime docker needs root" if ordinary else "no Docker daemon listens at unix:///nowhere"
    )
    assert said in done.stderr
