"""The wheel, installed apart from the checkout: what pipx and uv install."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT))
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    _pip("install", "--no-deps", "--target", str(folder), str(wheel))
    return folder


def _pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    subprocess.run(command, check=True)


def _testbed(installed: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """What `testbed` of the installed wheel does in a folder of its own."""
    return subprocess.run(
        [sys.executable, str(installed / "bin" / "testbed"), *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_holds_what_is_no_code_too(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (ROOT / "testbed").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert str(path.relative_to(ROOT)) in names
    shipped = {Path(name).stem for name in names if name.startswith("testbed/_topologies/")}
    assert shipped >= {path.stem for path in (ROOT / "topologies").glob("*.yaml")}
    experiments = {Path(name).name for name in names if name.startswith("testbed/_experiments/")}
    assert experiments >= {path.name for path in (ROOT / "experiments").glob("*.py")}


@pytest.mark.parametrize(
    ("line", "printed"),
    [
        ("check quickstart", "_topologies/quickstart.yaml: valid"),
        ("render two-apps -o json", '"kind": "List"'),
        ("run balance --plan", "TRIALS"),
    ],
)
def test_its_commands_work_anywhere(
    line: str, printed: str, installed: Path, tmp_path: Path
) -> None:
    done = _testbed(installed, tmp_path, *line.split())
    assert done.returncode == 0, done.stderr
    assert printed in done.stdout + done.stderr


def test_it_brings_a_lab_up(installed: Path, tmp_path: Path) -> None:
    name = f"wheel-{os.getpid()}"
    try:
        done = _testbed(installed, tmp_path, "up", "no-dns", "--name", name)
        assert done.returncode == 0, done.stderr
        rules = _testbed(installed, tmp_path, "rules", name, "n1")
        assert "KUBE-SERVICES" in rules.stdout
    finally:
        assert _testbed(installed, tmp_path, "down", name).returncode == 0
