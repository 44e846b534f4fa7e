"""What the kernel tells of a daemon's routes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.lab import routes_scenario
from tests.lab.outer import root_world, run

pytestmark = pytest.mark.lab

WANTED = {
    "listed": [["10.9.1.0/24", ["10.1.0.2"]], ["10.9.7.0/24", []]],
    "came": [["10.9.2.0/24", ["10.1.0.2", "10.2.0.2"]], ["fd00:9::/64", ["fd00:1::2"]]],
    "went": [["10.9.2.0/24", ["10.2.0.2"]], ["10.9.1.0/24", []], ["fd00:9::/64", []]],
}
"""No news are others' routes, and those that lead nowhere."""


def test_routes_are_heard_as_they_come_change_and_go(shared_folder: Path) -> None:
    done = run(root_world([sys.executable, "-m", routes_scenario.__name__]), shared_folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == WANTED
