"""`testbed run`: what it refuses, and what it plans, before any lab."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from testbed.analysis.planning import DECLARED, power_rows
from testbed.cli.main import main
from testbed.experiment.design import SMOKE, designed
from testbed.experiment.module import load, names
from testbed.experiment.plan import estimate_s


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("", 2, "name an experiment (known: aa, balance, "),
        ("balence", 4, "did you mean balance?"),
        ("balance --profile smok", 2, "did you mean smoke?"),
        ("balance --set fault=crash", 2, "no factor 'fault'"),
        ("balance failover --set fualt=crash", 2, "no factor 'fualt'"),
        ("failover --jobs 2", 2, "run one by one"),
        ("failover --jobs 0", 2, "--jobs 0"),
        ("balance --until 5%", 2, "write it as ci=5%"),
        ("balance --until ci=0%", 2, "write it as ci=5%"),
        ("balance --until ci=5parsec", 2, "write it as ci=5%"),
        ("balance --until ci=5%,ci=50ms", 2, "write it as ci=5%"),
        ("balance --until ci=50ms", 2, "no primary metric of balance is measured in that"),
        ("balance --until ci=5% --repeat 9", 2, "at least 10"),
        ("failover --until ci=5% --profile paper --repeat 19", 2, "at least 20"),
        ("--resume 20200101T000000Z-1 --until ci=5%", 2, "leave --set, --topology"),
        ("balance --executor slurm", 2, "no such executor"),
        ("balance --topology nowhere.yaml", 4, "no topology nowhere.yaml"),
        ("--resume 20200101T000000Z-1", 4, "no run 20200101T000000Z-1"),
        ("--resume 20200101T000000Z-1 --seed 3", 2, "leave --set, --topology"),
        ("--resume 20200101T000000Z-1 --profile paper", 2, "leave --set, --topology"),
        ("failover --set replicas=1", 2, "at least 2 replicas"),
        ("balance --repeat 0", 2, "at least 1"),
        ("balance --set rate_rps=-1", 2, "rate_rps above 0"),
        ("balance --repeat x", 2, "invalid int value"),
    ],
)
def test_what_cannot_be_run_is_said_in_one_sentence(
    words: str, code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        ended = main(["run", *words.split()])
    except SystemExit as left:  # argparse's own
        ended = left.code if isinstance(left.code, int) else 1
    out, err = capsys.readouterr()
    assert ended == code
    assert says in err
    assert not out


def test_a_results_folder_that_cannot_be_written_is_found_before_the_first_lab(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    ended = main(["run", "balance", "--profile", "smoke", "-d", str(tmp_path / "file")])
    assert ended == 5
    assert "cannot write results" in capsys.readouterr().err


def test_a_plan_is_json_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "balance", "failover", "--plan", "--seed", "4", "-o", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["experiment"] for row in rows] == ["balance", "failover"]
    assert {row["seed"] for row in rows} == {4}
    assert all(row["trials"] == row["arms"] * row["repeats"] for row in rows)


def test_each_of_several_experiments_takes_the_settings_it_knows(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = "run balance failover --plan -o json --set fault=hang --set replicas=2,5"
    assert main(words.split()) == 0
    balance, failover = json.loads(capsys.readouterr().out)
    assert balance["factors"]["replicas"] == failover["factors"]["replicas"] == [2, 5]
    assert failover["factors"]["fault"] == ["hang"]
    assert "fault" not in balance["factors"]


def test_a_plan_says_how_many_trials_show_the_claimed_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "balance", "--plan", "--set", "reuse=1", "-d", str(tmp_path)]
    assert main([*words, "-o", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    shares = {power["factors"]["placement"]: power for power in row["power"]}
    assert shares["one"]["spread_from"] == shares["every"]["spread_from"] == DECLARED
    # MEASURING.md: 19,000 connections show one share; all three together need some more.
    assert shares["one"]["trials_needed"] <= 5
    assert shares["every"]["connections_needed"] > 19_000

    stored = tmp_path / "balance" / "20260101T000000Z-1" / "run.json"
    stored.parent.mkdir(parents=True)
    spread = {"name": "share-per-node", "factors": shares["every"]["factors"], "n": 9}
    stored.write_text(json.dumps({"primary": [{**spread, "spread": 0.02}]}))
    assert main(words) == 0
    assert "20260101T000000Z-1" in capsys.readouterr().out


SHIPPED = (
    "aa",
    "balance",
    "busy",
    "dns-failover",
    "failover",
    "headless",
    "ingress",
    "modes",
    "ndots",
    "partition",
    "paths",
    "propagation",
    "reschedule",
    "reuse",
    "rollout",
    "scale",
)


def test_every_experiment_plans_what_it_measures() -> None:
    for name in SHIPPED:
        experiment = load(name)
        assert experiment.primary is not None, name
        rows = power_rows(experiment, designed(experiment))
        assert rows, name
        assert all(row["trials_needed"] for row in rows), name


def test_the_whole_suite_in_the_smoke_profile_is_planned_for_a_quarter_of_an_hour() -> None:
    """On a host with every kernel feature, or in the built guest kernel; two trials at a time where no times
    are measured.
    """
    found = {name: load(name) for name in names()}
    seconds = {
        name: estimate_s(one, designed(one, profile=SMOKE), "built" if name in GUESTS else "host")
        / (1 if one.timing else 2)
        for name, one in found.items()
    }
    assert sum(seconds.values()) < 15 * 60, seconds


GUESTS = ("busy", "modes")
"""Their smoke profile has an IPVS arm, which many hosts' kernels lack."""
