"""Balance on runs whose balancer is known: a biased one is found, a fair one is not accused."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from testbed.analysis import balance
from testbed.analysis.picks import ALL_CLIENTS, picks
from testbed.analysis.run import Run, load_run
from tests.unit.analysis.synthetic import Balancer, balance_run


def run_of(tmp_path: Path, balancer: Balancer, *, blocks: int = 5, seed: int = 1) -> Run:
    return load_run(balance_run(tmp_path, balancer, blocks=blocks, seed=seed))


def verdicts(run: Run) -> list[str]:
    return [finding.verdict for finding in balance.findings(run, "even")]


@pytest.mark.parametrize(
    ("balancer", "blocks", "expected"),
    [
        (Balancer(in_turn=True), 5, ["holds", "holds"]),
        (Balancer(connections=20_000), 6, ["holds", "holds"]),
        (Balancer(weights=(1, 1, 1.5), connections=3000), 6, ["does not hold"] * 2),
        (Balancer(weights=(1, 1, 0), connections=3000), 5, ["does not hold"] * 2),
        (Balancer(connections=100), 5, ["undecided", "undecided"]),
    ],
    ids=["round robin", "fair, enough picks", "one favoured", "one never picked", "too few picks"],
)
def test_the_verdict_is_the_truth_or_undecided(
    tmp_path: Path, balancer: Balancer, blocks: int, expected: list[str]
) -> None:
    assert verdicts(run_of(tmp_path, balancer, blocks=blocks)) == expected


def test_a_fair_random_balancer_is_hardly_ever_accused(tmp_path: Path) -> None:
    found = [
        answer
        for seed in range(30)
        for answer in verdicts(run_of(tmp_path / str(seed), Balancer(connections=300), seed=seed))
    ]
    assert found.count("does not hold") <= 3


def test_trials_that_differ_among_themselves_do_not_pass_for_proof(tmp_path: Path) -> None:
    """Each trial leans another way: pooled over all picks it would look decided."""
    leaning = Balancer(connections=3000, weight_noise=0.2)
    assert "holds" not in verdicts(run_of(tmp_path, leaning))


def test_a_bias_that_only_one_node_has_is_found_at_that_node(tmp_path: Path) -> None:
    run = run_of(tmp_path, Balancer(in_turn=True, connections=900, clients=("n1", "n2")))
    samples = run.samples.copy()
    at_n2 = (samples["client_node"] == "n2") & (samples["picked_backend"] == "web-2")
    samples.loc[at_n2, "picked_backend"] = "web-1"
    biased = Run(run.directory, run.meta, run.trials, samples, run.ledger, run.events)
    finding = balance.findings(biased, "even")[1]
    assert finding.verdict == "does not hold"
    assert finding.figures["worst_scope"] == "n2"


def test_shares_add_up_and_name_backends_that_were_never_picked(tmp_path: Path) -> None:
    run = run_of(tmp_path, Balancer(weights=(1, 1, 0), connections=90), blocks=1)
    table = balance.shares(run)
    everyone = table[table["scope"] == ALL_CLIENTS].set_index("backend")
    assert everyone["share"].sum() == pytest.approx(1)
    assert everyone.loc["web-2", "share"] == 0
    assert set(everyone["expected"]) == {1 / 3}


def test_a_backend_that_no_file_names_is_still_missed(tmp_path: Path) -> None:
    run = run_of(tmp_path, Balancer(weights=(1, 0), connections=90), blocks=1)
    bare = Run(run.directory, run.meta, run.trials, run.samples, run.ledger.iloc[:0], run.events)
    assert set(balance.shares(bare)["backend"]) == {"web-0", "never picked 1"}


def test_requests_follow_their_connections(tmp_path: Path) -> None:
    run = run_of(tmp_path, Balancer(reuse=(20,), connections=60), blocks=1)
    assert len(picks(run, "request")) == 20 * len(picks(run, "connection"))
    by_connection, by_request = balance.shares(run), balance.shares(run, "request")
    assert by_request["share"].tolist() == pytest.approx(by_connection["share"].tolist())
    assert balance.findings(run, "even")[-1].question.startswith("With connections reused")


def test_without_reuse_nothing_is_asked_about_requests(tmp_path: Path) -> None:
    assert len(balance.findings(run_of(tmp_path, Balancer()), "even")) == 2


def test_a_failed_request_counts_for_the_backend_that_the_kernel_picked(tmp_path: Path) -> None:
    run = run_of(tmp_path, Balancer(connections=90), blocks=1)
    samples = run.samples.assign(backend=None, outcome="refused")
    failing = Run(run.directory, run.meta, run.trials, samples, run.ledger, run.events)
    assert balance.shares(failing).equals(balance.shares(run))


def test_other_streams_are_not_picks(tmp_path: Path) -> None:
    run = run_of(tmp_path, Balancer(connections=90), blocks=1)
    samples = run.samples.assign(stream="control")
    assert len(picks(Run(run.directory, run.meta, run.trials, samples, run.ledger, run.events),
                     "connection")) == 0  # fmt: skip


def test_transitions_follow_the_kernel_s_order_not_the_file_s(tmp_path: Path) -> None:
    run = run_of(tmp_path, Balancer(in_turn=True, connections=300), blocks=2)
    shuffled = run.samples.sample(frac=1, random_state=1)
    (found,) = balance.transitions(
        Run(run.directory, run.meta, run.trials, shuffled, run.ledger, run.events)
    )
    assert found.backends == ("web-0", "web-1", "web-2")
    assert (found.counts > 0).tolist() == [
        [False, True, False],
        [False, False, True],
        [True, False, False],
    ]
    assert found.counts.sum() == 2 * 2 * 299


def test_metrics_have_one_row_per_trial(tmp_path: Path) -> None:
    run = run_of(tmp_path, Balancer(reuse=(1, 20), connections=300), blocks=3)
    table = balance.metrics(run)
    assert sorted(table["trial"]) == sorted(run.trials["trial"])
    assert (table["connections"] == 600).all()
    assert table["entropy_bits"].between(1.5, 1.62).all()


def test_p_values_of_a_fair_balancer_are_uniform_and_of_a_biased_one_are_not(
    tmp_path: Path,
) -> None:
    fair = balance.metrics(run_of(tmp_path / "fair", Balancer(), blocks=20))
    biased = Balancer(weights=(1, 1, 1.2))
    unfair = balance.metrics(run_of(tmp_path / "unfair", biased, blocks=20))
    assert balance.uniformity_p(fair["chi2_p"]) > 0.05
    assert balance.uniformity_p(unfair["chi2_p"]) < 0.001
    assert math.isnan(balance.uniformity_p(fair["chi2_p"].head(4)))
