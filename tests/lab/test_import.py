"""What was imported comes up: services answer from the same pods at the same addresses, machines meet."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from testbed.cli.main import main
from testbed.lab.client import Lab

pytestmark = pytest.mark.lab

UNIT = Path(__file__).parents[1] / "unit"
DUMP = UNIT / "dumps" / "kind.yaml"
ROUTED = UNIT / "clab" / "routed.clab.yml"


def test_an_imported_cluster_serves(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    assert main(["import", str(DUMP), "-w", str(file)]) == 0
    with Lab.up(file, name=f"imported-{os.getpid()}", ephemeral=True) as lab:
        service = next(row for row in lab.inspect()["services"] if row["name"] == "shop")
        assert service["clusterIP"] == "10.96.113.7"
        assert [row["pod"] for row in service["endpoints"] if row["ready"]] == [
            "shop-7c5ddbdf54-2xkqv"
        ]
        for host in ("shop", "10.96.113.7"):
            answer = lab.exec("caller", ["curl", "-s", "-m", "60", f"http://{host}/hostname"])
            assert answer.stdout.strip() == "shop-7c5ddbdf54-2xkqv"


def test_an_imported_containerlab_file_carries_a_cluster(tmp_path: Path) -> None:
    """Three routers in a triangle; a node behind each, and a client outside behind the third."""
    file = tmp_path / "mine.yaml"
    assert main(["import", str(ROUTED), "--role", "PC_2=host", "-w", str(file)]) == 0
    web = """
workloads: {web: {replicas: 2}}
services: {web: {port: 80, nodePort: 30080}}
"""
    file.write_text(file.read_text() + web)
    with Lab.up(file, name=f"clab-{os.getpid()}", ephemeral=True) as lab:
        inspected = lab.inspect()
        address = {row["name"]: row["addresses"][0] for row in inspected["nodes"]}
        assert sorted(address) == ["pc-2", "pc1"]
        assert {row["node"] for row in inspected["pods"]} == {"pc-2", "pc1"}
        for where in ("web-0", "web-1"):
            answer = lab.exec(where, ["curl", "-s", "-m", "60", "http://web/hostname"])
            assert answer.stdout.strip() in {"web-0", "web-1"}
        outside = ["curl", "-s", "-m", "60", f"http://{address['pc1']}:30080/hostname"]
        assert lab.exec("pc-2-2", outside).stdout.strip() in {"web-0", "web-1"}
