"""Artifacts: the same run gives the same bytes; whoever unpacks one can check it, and a change is seen."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.cli.main import main

SAMPLE = next((Path(__file__).parents[3] / "results" / "sample" / "failover").iterdir())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stored run, analysed by this version."""
    folder = tmp_path_factory.mktemp("results") / SAMPLE.name
    shutil.copytree(SAMPLE, folder)
    assert main(["report", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def bundle(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("bundle") / "bundle.tar.gz"
    assert main(["artifact", str(run), "-w", str(file)]) == 0
    return file


@pytest.fixture
def unpacked(bundle: Path, tmp_path: Path) -> Path:
    shutil.unpack_archive(bundle, tmp_path)
    (folder,) = tmp_path.iterdir()
    return folder


def check(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return subprocess.run(
        [str(folder / "check.py"), *options], env=env, capture_output=True, text=True, check=False
    )


def test_the_same_run_gives_the_same_bytes(run: Path, bundle: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.tar.gz"
    assert main(["artifact", str(run), "-w", str(again)]) == 0
    assert again.read_bytes() == bundle.read_bytes()


def test_it_holds_what_an_evaluator_needs(unpacked: Path) -> None:
    assert unpacked.name == f"failover-{SAMPLE.name}"
    for path in (
        "README.md",
        "LICENSE",
        "CITATION.cff",
        "requirements.txt",
        "experiment/failover.py",
        "topologies/arm-0.yaml",
        "results/samples.parquet",
        "results/report.html",
    ):
        assert (unpacked / path).is_file(), path
    text = (unpacked / "README.md").read_text()
    meta = json.loads((unpacked / "results" / "run.json").read_text())
    assert meta["command"] in text
    assert meta["findings"][0]["question"] in text
    assert main(["check", str(unpacked / "topologies" / "arm-0.yaml")]) == 0


def test_an_untouched_one_passes(unpacked: Path) -> None:
    done = check(unpacked, "--no-run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == ["files: ok", "analysis: ok"]


def _other_mean(folder: Path) -> None:
    path = folder / "results" / "summary.json"
    rows = json.loads(path.read_text())
    rows[0]["mean"] += 1
    path.write_text(json.dumps(rows))


def _other_samples(folder: Path) -> None:
    path = folder / "results" / "trials.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-1]) + "\n")


@pytest.mark.parametrize(
    ("change", "said"),
    [(_other_mean, "summary.json[0].mean"), (_other_samples, "results/trials.csv")],
)
def test_a_changed_one_fails(change: Callable[[Path], None], said: str, unpacked: Path) -> None:
    change(unpacked)
    done = check(unpacked, "--no-run")
    assert done.returncode == 1
    assert "files: not as they were packed" in done.stdout
    assert said in done.stdout


def test_an_unfinished_run_is_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / run.name
    shutil.copytree(run, folder)
    meta = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**meta, "status": "interrupted"}))
    assert main(["artifact", str(folder), "-w", str(tmp_path / "x.tar.gz")]) == 2
    assert "is not complete" in capsys.readouterr().err
    assert not (tmp_path / "x.tar.gz").exists()
