"""Completion of what a lab holds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from testbed.lab.client import Lab
from tests.unit.test_completion import offered

pytestmark = pytest.mark.lab

TOPOLOGY = """
name: {name}
nodes: {{alpha: {{}}}}
dns: {{replicas: 0}}
workloads:
  web: {{replicas: 2, port: 80}}
services:
  shop: {{port: 80, selector: {{app: web}}}}
"""


def test_labs_places_and_services(tmp_path: Path) -> None:
    name = f"completed-{os.getpid()}"
    file = tmp_path / "lab.yaml"
    file.write_text(TOPOLOGY.format(name=name))
    with Lab.up(file, ephemeral=True):
        assert offered("testbed down completed-", tmp_path) >= {name}
        assert offered(f"testbed exec {name} ", tmp_path) == {"alpha", "web-0", "web-1"}
        assert offered(f"testbed rules {name} ", tmp_path) == {"alpha"}
        assert offered(f"testbed trace {name} web-0 s", tmp_path) == {"shop"}
