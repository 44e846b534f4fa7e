"""Factors x repeats -> blocks, and what `--set` may say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from testbed.errors import UsageError
from testbed.experiment.design import (
    PAPER,
    SMOKE,
    Design,
    arms,
    block,
    chosen,
    designed,
    trials,
)
from testbed.experiment.module import Experiment, Profile

DESIGN = Design({"fault": ("crash", "hang"), "replicas": (2, 3, 5)}, repeats=8, seed=7)

EXPERIMENT = Experiment(
    name="example",
    path=Path("example.py"),
    question="q",
    hypothesis="h",
    refuted_if="r",
    topology="quickstart.yaml",
    factors={"fault": ("crash", "hang"), "replicas": (3,), "period_s": (1.0,), "kept": (True,)},
    repeats=10,
    requires=frozenset(),
    timing=True,
    trial=lambda lab, factors, seed: None,
    analyse=lambda run: [],
    plot=lambda run: {},
    profiles={SMOKE: Profile(repeats=2, factors={"period_s": (0.5,)})},
)


def test_every_arm_is_in_every_block_once() -> None:
    for number in range(DESIGN.repeats):
        assert sorted(trial.arm for trial in block(DESIGN, number)) == list(range(6))


def test_the_order_within_blocks_varies() -> None:
    orders = {tuple(trial.arm for trial in block(DESIGN, number)) for number in range(8)}
    assert len(orders) > 1


def test_equal_designs_are_equal_and_another_seed_is_another_order() -> None:
    assert list(trials(DESIGN)) == list(trials(replace(DESIGN)))
    assert [t.arm for t in trials(DESIGN)] != [t.arm for t in trials(replace(DESIGN, seed=8))]


def test_more_repeats_leave_the_first_blocks_as_they_are() -> None:
    longer = list(trials(replace(DESIGN, repeats=9)))
    assert longer[: 8 * 6] == list(trials(DESIGN))


def test_ids_tell_trials_and_reruns_apart() -> None:
    everything = [*trials(DESIGN), *block(DESIGN, 0, attempt=1)]
    assert len({trial.id for trial in everything}) == len(everything)


def test_the_arms_of_a_block_share_a_seed_that_no_other_block_has() -> None:
    blocks = [block(DESIGN, number) for number in range(8)] + [block(DESIGN, 0, attempt=1)]
    seeds = [{trial.seed for trial in arms_of} for arms_of in blocks]
    assert all(len(seed) == 1 for seed in seeds)
    assert len(set.union(*seeds)) == len(blocks)


def test_a_choice_may_be_set_though_no_arm_has_it_by_default() -> None:
    assert chosen({"mode": ("rr",)}, ["mode=lc,rr"], {"mode": ("lc", "sh")}) == {
        "mode": ("lc", "rr")
    }
    with pytest.raises(UsageError, match="no such value"):
        chosen({"mode": ("rr",)}, ["mode=lc"])


def test_a_stored_design_is_the_design() -> None:
    assert Design.from_json(DESIGN.to_json()) == DESIGN


def test_arms_are_all_combinations() -> None:
    assert arms(DESIGN)[0] == {"fault": "crash", "replicas": 2}
    assert len(arms(DESIGN)) == 6


def test_set_overrides_the_profile_which_overrides_the_module() -> None:
    assert designed(EXPERIMENT).factors["period_s"] == (1.0,)
    assert designed(EXPERIMENT, profile=SMOKE).factors["period_s"] == (0.5,)
    set_ = designed(EXPERIMENT, ["period_s=2,3"], profile=SMOKE)
    assert set_.factors["period_s"] == (2.0, 3.0)


@pytest.mark.parametrize(
    ("profile", "repeat", "expected"),
    [(SMOKE, None, 2), ("default", None, 10), (PAPER, None, 20), (SMOKE, 4, 4), (PAPER, 30, 30)],
)
def test_repeats(profile: str, repeat: int | None, expected: int) -> None:
    assert designed(EXPERIMENT, repeats=repeat, profile=profile).repeats == expected


def test_values_have_the_type_of_the_known_ones() -> None:
    assert chosen(EXPERIMENT.factors, ["replicas=2,7", "kept=false", "fault=hang"]) == {
        "replicas": (2, 7),
        "kept": (False,),
        "fault": ("hang",),
    }


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("replica=3", "did you mean replicas?"),
        ("colour=red", "its factors: fault, replicas"),
        ("replicas", "factor=value"),
        ("replicas=", "factor=value"),
        ("replicas=two", "not a whole number"),
        ("replicas=2.5", "not a whole number"),
        ("period_s=soon", "not a number"),
        ("fault=crush", "did you mean crash?"),
        ("fault=zzz", "known: crash, hang"),
        ("kept=perhaps", "not true or false"),
        ("replicas=3,3", "twice"),
    ],
)
def test_a_setting_that_cannot_be_says_what_can(setting: str, says: str) -> None:
    with pytest.raises(UsageError, match="--set") as caught:
        chosen(EXPERIMENT.factors, [setting])
    assert says in str(caught.value)


def test_a_factor_set_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="replicas is given twice"):
        chosen(EXPERIMENT.factors, ["replicas=2", "replicas=3"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"profile": "smok"}, "did you mean smoke?"),
        ({"profile": PAPER, "repeats": 5}, "at least 20"),
        ({"repeats": -1}, "at least 1"),
        ({"repeats": 0}, "at least 1"),
    ],
)
def test_a_run_that_cannot_be_says_why(arguments: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        designed(EXPERIMENT, **arguments)  # type: ignore[arg-type]
    assert says in str(caught.value)
