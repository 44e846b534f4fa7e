"""SIGKILL of the supervisor at any moment leaves nothing: 20 kills, in worlds of their own."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.lab.outer import ordinary_world, root_world, run

pytestmark = pytest.mark.lab

SCENARIO = Path(__file__).with_name("kill_scenario.py")
KILLS = 10


@pytest.mark.parametrize(("world", "seed"), [(root_world, 1), (ordinary_world, 2)])
def test_a_killed_lab_leaves_nothing_and_can_be_started_again(
    world: Callable[[Sequence[str]], list[str]], seed: int, shared_folder: Path
) -> None:
    scenario = [sys.executable, str(SCENARIO), str(seed), str(KILLS), str(shared_folder)]
    done = run(world(scenario), shared_folder)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    wrong = [str(row) for row in found["kills"] if row["wrong"]] + found["wrong"]
    assert not wrong, "\n".join(wrong)
    assert len(found["kills"]) == KILLS
    assert {row["victim"] for row in found["kills"]} == {"init", "supervisor"}
    under_way = [row["phase"] for row in found["kills"] if row["under_way"]]
    assert {"up", "load"} <= set(under_way) <= {"up", "load", "down"}
    assert under_way.count("load") == sum(row["phase"] == "load" for row in found["kills"])
