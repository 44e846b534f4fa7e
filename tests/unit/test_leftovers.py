"""Which processes have outlived their lab."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.lab.leftovers import Marked, marked, outlived

HERE, OTHER = "pid:[1]", "pid:[2]"


@pytest.mark.parametrize(
    ("alive", "pid_namespace", "expected"),
    [
        pytest.param({}, HERE, True, id="its lab has ended"),
        pytest.param({"shop": HERE}, HERE, False, id="it belongs to a living lab"),
        pytest.param({"shop": OTHER}, HERE, True, id="a new lab of the same name is not its own"),
        pytest.param({"other": HERE}, HERE, True, id="another lab lives"),
        pytest.param({"shop": ""}, HERE, False, id="its lab is only just starting"),
        pytest.param({"shop": HERE}, "", False, id="it may not be asked"),
    ],
)
def test_a_process_outlives_its_lab(
    alive: dict[str, str], pid_namespace: str, expected: bool
) -> None:
    assert outlived(Marked(7, "shop", pid_namespace, "sleep"), alive) is expected


def test_processes_are_found_by_their_own_environment(tmp_path: Path) -> None:
    for pid, environment in (("1", b"A=1\0"), ("20", b"A=1\0TESTBED_LAB=shop\0"), ("self", b"")):
        folder = tmp_path / pid
        (folder / "ns").mkdir(parents=True)
        (folder / "environ").write_bytes(environment)
        (folder / "cmdline").write_bytes(b"sleep\x0060\0")
        (folder / "ns/pid").symlink_to(HERE)
    assert list(marked(tmp_path)) == [Marked(20, "shop", HERE, "sleep 60")]
