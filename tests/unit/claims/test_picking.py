"""Picks whose truth is known: fair draws, round robin, hashes, and loads that differ."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest

from testbed.analysis.run import Verdict
from testbed.claims import busy, picking, told
from testbed.claims.claim import Judge, Observation

NAMES = ("web-0", "web-1", "web-2")
NODES = ("n1", "n2", "n3")
PICKS = 2000
"""Of each node in a trial."""

Draw = Callable[[random.Random, int, int], str]
"""(chance, number of the node, number of the pick) -> backend."""


def fair(chance: random.Random, node: int, pick: int) -> str:
    return chance.choice(NAMES)


def round_robin(chance: random.Random, node: int, pick: int) -> str:
    return NAMES[pick % 3]


def mostly_round_robin(chance: random.Random, node: int, pick: int) -> str:
    return chance.choice(NAMES) if chance.random() < 0.2 else NAMES[pick % 3]


def by_source(chance: random.Random, node: int, pick: int) -> str:
    return NAMES[node % 2]


def lopsided(chance: random.Random, node: int, pick: int) -> str:
    return chance.choices(NAMES, (0.37, 0.33, 0.30))[0]


def trials(draw: Draw, number: int, picks: int = PICKS) -> list[dict[str, Observation]]:
    """What as many trials would have noted, by claim."""
    found = []
    for trial in range(number):
        chance = random.Random(trial)
        sequences = {
            name: [draw(chance, node, pick) for pick in range(picks)]
            for node, name in enumerate(NODES)
        }
        found.append(picking.observations(sequences, NAMES))
    return found


def observed(claim: str, draw: Draw, number: int, picks: int = PICKS) -> list[Observation]:
    return [one[claim] for one in trials(draw, number, picks)]


@pytest.mark.parametrize(
    ("claim", "judge", "draw", "number", "verdict"),
    [
        ("a-third-each", picking.judge_thirds, fair, 10, "holds"),
        ("a-third-each", picking.judge_thirds, round_robin, 5, "holds"),
        ("a-third-each", picking.judge_thirds, lopsided, 10, "does not hold"),
        ("a-third-each", picking.judge_thirds, by_source, 5, "does not hold"),
        ("a-third-each", picking.judge_thirds, fair, 3, "undecided"),
        ("random-pick", picking.judge_random, fair, 5, "holds"),
        ("random-pick", picking.judge_random, fair, 3, "undecided"),
        ("random-pick", picking.judge_random, round_robin, 1, "does not hold"),
        ("random-pick", picking.judge_random, mostly_round_robin, 5, "does not hold"),
        ("random-pick", picking.judge_random, by_source, 5, "does not hold"),
        ("round-robin", picking.judge_round_robin, round_robin, 1, "holds"),
        ("round-robin", picking.judge_round_robin, fair, 1, "does not hold"),
        ("round-robin", picking.judge_round_robin, mostly_round_robin, 1, "does not hold"),
        ("round-robin", picking.judge_round_robin, by_source, 1, "does not hold"),
        ("evens-out", picking.judge_even, fair, 5, "holds"),
        ("evens-out", picking.judge_even, by_source, 5, "does not hold"),
        ("evens-out", picking.judge_even, fair, 4, "undecided"),
    ],
)
def test_verdicts_on_known_truth(
    claim: str, judge: Judge, draw: Draw, number: int, verdict: Verdict
) -> None:
    judged = judge(observed(claim, draw, number), "nftables")
    assert judged.verdict == verdict, judged.answer
    assert judged.answer.endswith(".")


def test_a_few_picks_are_not_told_apart_from_a_fair_draw() -> None:
    judged = picking.judge_random(observed("random-pick", fair, 5, picks=50), "nftables")
    assert judged.verdict == "undecided"
    assert "too few" in judged.answer


def test_a_fair_draw_is_not_refuted_with_few_trials() -> None:
    wrong = sum(
        picking.judge_random([one["random-pick"]], "nftables").verdict == "does not hold"
        for one in trials(fair, 40, picks=400)
    )
    assert wrong == 0


def test_what_is_undecided_says_what_it_needs() -> None:
    answer = picking.judge_thirds(observed("a-third-each", fair, 2), "nftables").answer
    assert "2 trials cannot decide, at least 5 are needed" in answer
    answer = picking.judge_thirds(observed("a-third-each", fair, 5, picks=100), "nftables").answer
    assert "19,000 connections" in answer


@pytest.mark.parametrize(
    ("mode", "draw", "held", "verdict"),
    [
        ("nftables", fair, "001122", "holds"),
        ("iptables-legacy", round_robin, "001122", "does not hold"),
        ("userspace", round_robin, "012012", "holds"),
        ("userspace/random", fair, "012012", "holds"),
        ("ipvs/rr", round_robin, "012012", "holds"),
        ("ipvs/wrr", fair, "012012", "does not hold"),
        ("ipvs/lc", fair, "012012", "holds"),
        ("ipvs/lc", fair, "001100", "does not hold"),
        ("ipvs/sed", fair, "000012", "does not hold"),
        ("ipvs/sh", by_source, "000000", "holds"),
        ("ipvs/sh", fair, "000000", "does not hold"),
        ("ipvs/mh", fair, "012012", "undecided"),
        ("userspace/mine", fair, "012012", "undecided"),
    ],
)
def test_each_mode_against_what_it_is_told(
    mode: str, draw: Draw, held: str, verdict: Verdict
) -> None:
    open_at_once = [[NAMES[int(digit)] for digit in held]]
    seen = [{**one["random-pick"], "held": open_at_once} for one in trials(draw, 5)]
    assert picking.judge_told(seen, mode).verdict == verdict


@pytest.mark.parametrize(
    ("coincided", "verdict"),
    [
        ([True], "holds"),
        ([False, True], "holds"),
        ([False], "undecided"),
        ([False, False, False], "does not hold"),
    ],
)
def test_two_nodes_with_one_backend_first(coincided: list[bool], verdict: Verdict) -> None:
    seen = [{"coincided": one, "next_differs_chance": 0.67} for one in coincided]
    assert picking.judge_same_first(seen, "nftables").verdict == verdict


@pytest.mark.parametrize(
    ("sequences", "together"),
    [((["a", "b"], ["b", "a"]), False), ((["a", "b"], ["b", "b"]), True), (([], []), False)],
)
def test_coincidence_is_at_the_same_place(sequences: Sequence[list[str]], together: bool) -> None:
    assert picking.coincided(sequences) is together


def test_how_often_the_next_pick_differs() -> None:
    assert picking.next_differs({"n1": ["a", "b", "b"], "n2": ["a", "a"]}) == pytest.approx(1 / 3)


@pytest.mark.parametrize("scheduler", ["rr", "wrr", "lc", "sh", "dh", "fo"])
def test_schedulers_whose_rule_can_be_told(scheduler: str) -> None:
    assert told.rule_of(f"ipvs/{scheduler}")


@pytest.mark.parametrize(
    ("shares", "verdict"),
    [
        ([0.33, 0.34, 0.32, 0.335, 0.33], "does not hold"),
        ([0.10, 0.12, 0.09, 0.11, 0.10], "holds"),
        ([0.60, 0.61, 0.59, 0.62, 0.60], "does not hold"),
        ([0.33, 0.10, 0.33, 0.10, 0.33], "undecided"),
        ([0.33], "undecided"),
        ([None], "undecided"),
    ],
    ids=["equal", "less", "more", "here and there", "one trial", "no answer"],
)
def test_whether_a_busy_pod_gets_less(shares: list[float | None], verdict: Verdict) -> None:
    seen = [{"picks": 270, "slow_share": share, "fair": 1 / 3} for share in shares]
    assert busy.judge(seen, "ipvs/lc").verdict == verdict
