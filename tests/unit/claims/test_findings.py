"""From a run's notes to findings: by claim and mode, and over the modes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from testbed.analysis.run import EVENT_COLUMNS, Run, Verdict
from testbed.claims import findings, register
from testbed.claims.claim import Judgement
from testbed.claims.judging import saw
from testbed.experiment import module

MODES = ("nftables", "userspace")


def run_of(notes: dict[str, dict[str, Any]]) -> Run:
    """A run of one trial in each mode; `notes` by mode and claim."""
    trials = pd.DataFrame({"trial": list(MODES), "proxy": list(MODES), "valid": True})
    rows = [
        (mode, 1, "trial", "", "claim", "", 0, {"claim": claim, **seen})
        for mode, claims in notes.items()
        for claim, seen in claims.items()
    ]
    return Run(
        directory=Path(),
        meta={"experiment": "claims", "factors": {"proxy": list(MODES)}},
        trials=trials,
        samples=pd.DataFrame(),
        ledger=pd.DataFrame(),
        events=pd.DataFrame(rows, columns=pd.Index(EVENT_COLUMNS)),
    )


IN_ONE = run_of(
    {
        "nftables": {"proxy-not-in-path": saw(10, 10), "flat-network": saw(9, 9)},
        "userspace": {
            "proxy-not-in-path": saw(10, 0, "nobody answered"),
            "flat-network": saw(9, 9),
        },
    }
)


def test_a_finding_for_each_claim_and_mode_and_one_over_the_modes() -> None:
    found = {(one.name, one.arm): one.verdict for one in findings.findings(IN_ONE)}
    assert found == {
        ("flat-network", "nftables"): "holds",
        ("flat-network", "userspace"): "holds",
        ("flat-network", ""): "holds",
        ("proxy-not-in-path", "nftables"): "holds",
        ("proxy-not-in-path", "userspace"): "does not hold",
        ("proxy-not-in-path", ""): "does not hold",
    }


def test_each_pod_network_has_findings_of_its_own() -> None:
    trials = pd.DataFrame(
        {"trial": ["a", "b"], "proxy": "nftables", "network": ["host-gw", "weave"], "valid": True}
    )
    notes = [
        ("a", 1, "trial", "", "claim", "", 0, {"claim": "flat-network", **saw(9, 9)}),
        ("b", 1, "trial", "", "claim", "", 0, {"claim": "flat-network", **saw(9, 8, "b")}),
    ]
    run = replace(
        IN_ONE,
        meta={"factors": {"proxy": ["nftables"], "network": ["host-gw", "weave"]}},
        trials=trials,
        samples=pd.DataFrame({"trial": []}),
        events=pd.DataFrame(notes, columns=pd.Index(EVENT_COLUMNS)),
    )
    assert {(one.name, one.arm): one.verdict for one in findings.findings(run)} == {
        ("flat-network", "host-gw, nftables"): "holds",
        ("flat-network", "weave, nftables"): "does not hold",
    }


def test_what_is_over_the_modes_is_not_confirmatory_and_says_which() -> None:
    (over,) = [
        one for one in findings.findings(IN_ONE) if (one.name, one.arm) == ("proxy-not-in-path", "")
    ]
    assert not over.confirmatory
    assert over.answer == "Holds in nftables; does not hold in userspace."


def test_one_mode_has_no_finding_over_the_modes() -> None:
    one = run_of({"nftables": {"flat-network": saw(9, 9)}})
    assert [found.arm for found in findings.findings(one)] == ["nftables"]


def test_metrics_count_what_a_trial_contradicts() -> None:
    rows = findings.metrics(IN_ONE).set_index("trial")
    assert rows.loc["userspace"].to_dict() == {"claims_observed": 2, "claims_contradicted": 1}
    assert rows.loc["nftables", "claims_contradicted"] == 0


def judged(**verdicts: Verdict) -> dict[str, Judgement]:
    """By mode; `_` stands for the dash of iptables-nft."""
    return {
        mode.replace("_", "-"): Judgement(verdict, "", p_value=0.01)
        for mode, verdict in verdicts.items()
    }


@pytest.mark.parametrize(
    ("modes", "verdict"),
    [
        (judged(iptables_nft="holds", userspace="does not hold"), "holds"),
        (judged(iptables_nft="holds", nftables="holds"), "does not hold"),
        (judged(iptables_nft="does not hold", userspace="does not hold"), "does not hold"),
        (judged(iptables_nft="holds", userspace="undecided"), "undecided"),
        (judged(nftables="holds", userspace="does not hold"), "undecided"),
    ],
)
def test_the_only_mode_that_picks_at_random(modes: dict[str, Judgement], verdict: Verdict) -> None:
    assert findings.only_random(modes).verdict == verdict


@pytest.mark.parametrize(
    ("values", "overall"),
    [
        ([("holds", 0.01), ("holds", 0.03)], ("holds", 0.03)),
        ([("holds", None), ("holds", 0.03)], ("holds", 0.03)),
        ([("holds", 0.01), ("does not hold", 0.02)], ("does not hold", 0.02)),
        ([("does not hold", None), ("does not hold", 0.02)], ("does not hold", None)),
        ([("holds", 0.01), ("undecided", 0.5)], ("undecided", 0.5)),
        ([], ("undecided", None)),
    ],
)
def test_the_p_value_over_modes_is_that_of_whoever_decides(
    values: list[tuple[Verdict, float | None]], overall: tuple[Verdict, float | None]
) -> None:
    assert findings.overall(Judgement(verdict, "", {}, p) for verdict, p in values) == overall


def test_names_are_unique_and_every_claim_is_in_one_part() -> None:
    names = [claim.name for claim in register.CLAIMS]
    assert len(set(names)) == len(names)
    assert not set(names) & set(register.SUBJECTS)
    assert sorted(subject for part in register.PARTS for subject in part) == sorted(
        register.SUBJECTS
    )


@pytest.mark.parametrize(
    ("choice", "number"),
    [("all", len(register.CLAIMS)), ("proxy-path", 1), ("crash-new-tcp", 1)],
)
def test_claims_are_chosen_by_subject_or_name(choice: str, number: int) -> None:
    assert len(register.chosen(choice)) == number


def test_every_choice_may_be_named_on_the_command_line() -> None:
    experiment = module.load("claims")
    assert set(experiment.choices["claims"]) == set(register.CHOICES)
    for name, values in experiment.factors.items():
        assert set(values) <= set(experiment.choices.get(name, values))


@pytest.mark.parametrize(
    ("choice", "seconds"),
    [("flat-network", 0.3), ("failures", 4.0), ("all", 6 * 0.3 + 1.3 + 4.0 + 1.0)],
)
def test_what_waits_waits_together(choice: str, seconds: float) -> None:
    assert register.estimate_s(choice) == pytest.approx(seconds)
