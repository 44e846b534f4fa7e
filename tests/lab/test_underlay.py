"""Planned underlays in real namespaces: packets get through, and find another way where one is cut."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.lab import outer

pytestmark = pytest.mark.lab

SILENT = ["n1>n2", "n1>n3", "n2>n1", "n3>n1"]
REACHED: list[str] = []
"""Nobody who was to reach somebody did not."""


@pytest.mark.parametrize(
    ("scenario", "seen"),
    [
        pytest.param(
            "spine",
            [REACHED, ["172.18.3.253", "172.18.4.253"], REACHED, REACHED],
            id="two racks under two spines: both carry flows, and one is enough",
        ),
        pytest.param(
            "ring",
            [REACHED, True, ["c:a", "a:b:2"], REACHED, REACHED, REACHED, SILENT, REACHED],
            id="a ring of switches: no storm, and another way wherever it is cut",
        ),
        pytest.param(
            "changes",
            [REACHED, REACHED, REACHED, True, 2],
            id="machines and links come and go",
        ),
        pytest.param(
            "power",
            [True, SILENT, REACHED, ["cut", "up"], REACHED],
            id="a machine loses its power and is made anew",
        ),
        pytest.param(
            "shapes",
            [[[1e8, 1e8], True], [1e8, 1e8], [None, 2e6]],
            id="a rate by the file, by hand, by the next file",
        ),
    ],
)
def test_an_underlay(scenario: str, seen: list[Any], tmp_path: Path) -> None:
    done = outer.run(
        outer.root_world([sys.executable, "-m", "tests.lab.underlay_scenario", scenario]), tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == seen
