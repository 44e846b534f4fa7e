"""An artifact's whole check: its experiment runs again where it is unpacked."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from testbed.cli.main import main
from tests.unit.report.test_artifact import check

pytestmark = pytest.mark.lab

EXPERIMENT = """
from testbed.analysis.run import Finding
from testbed.traffic.spec import LoadSpec

QUESTION = "Does anybody answer?"
HYPOTHESIS = "Somebody does."
REFUTED_IF = "Nobody does."
TOPOLOGY = "no-dns.yaml"
FACTORS = {"rate_rps": (20.0,)}
REPEATS = 1
REQUIRES = frozenset()
TIMING = False


def trial(lab, factors, seed):
    subject = lab.subject()
    lab.load(
        LoadSpec(
            source=subject.clients[0].name,
            url=subject.url(),
            rate_rps=factors["rate_rps"],
            duration_s=1.0,
            timeout_s=300.0,  # on a busy machine answers are late
            drain_s=300.0,
            seed=seed,
            label="main",
        )
    )


def analyse(run):
    ok = int((run.samples["outcome"] == "ok").sum())
    return [Finding(QUESTION, HYPOTHESIS, "holds" if ok else "does not hold", {"ok": ok})]


def plot(run):
    return {}
"""


def test_it_runs_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(EXPERIMENT)
    assert main(["run", "./mine.py", "--seed", "1", "-d", "results"]) == 0
    (run,) = Path("results/mine").iterdir()
    assert main(["artifact", str(run), "-w", "bundle.tar.gz"]) == 0
    Path("mine.py").unlink()
    shutil.unpack_archive("bundle.tar.gz", tmp_path / "there")
    (folder,) = (tmp_path / "there").iterdir()
    done = check(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "experiment: ok"
