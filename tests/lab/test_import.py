"""What was imported comes up, and its services answer from the same pods at the same addresses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from testbed.cli.main import main
from testbed.lab.client import Lab

pytestmark = pytest.mark.lab

DUMP = Path(__file__).parents[1] / "unit" / "dumps" / "kind.yaml"


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
            answer = lab.exec("caller", ["curl", "-s", "-m", "20", f"http://{host}/hostname"])
            assert answer.stdout.strip() == "shop-7c5ddbdf54-2xkqv"
