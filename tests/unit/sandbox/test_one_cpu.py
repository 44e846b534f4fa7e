"""Who is started so has one CPU for all its life; who starts it keeps all."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from testbed.sandbox.one_cpu import on_one_cpu

CPUS = "import os; print(*os.sched_getaffinity(0))"


def cpus_of_a_child() -> set[int]:
    said = subprocess.check_output((sys.executable, "-c", CPUS), text=True)
    return set(map(int, said.split()))


def test_a_child_stays_on_one_of_ours() -> None:
    before = os.sched_getaffinity(0)
    with on_one_cpu():
        (cpu,) = cpus_of_a_child()
    assert cpu in before
    assert cpus_of_a_child() == os.sched_getaffinity(0) == before


def test_we_have_all_of_them_again_where_nobody_could_be_started() -> None:
    before = os.sched_getaffinity(0)
    with pytest.raises(FileNotFoundError), on_one_cpu():
        subprocess.run(("/nonexistent",), check=True)
    assert os.sched_getaffinity(0) == before
