"""What is read of a stored run's samples is what is there, whatever part is asked for."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from testbed.analysis.once import once_per_run
from testbed.analysis.run import Run, load_run
from testbed.analysis.stored import Samples
from tests.unit.analysis.synthetic import Balancer, Story, balance_run, failover_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    where = tmp_path_factory.mktemp("stored")
    return load_run(failover_run(where / "run", {"crash": [Story()] * 2, "hang": [Story()]}))


@pytest.mark.parametrize("trials", [None, ["1-crash", "0-hang"], ["no such trial"], []])
def test_columns_are_those_of_the_whole_table(run: Run, trials: list[str] | None) -> None:
    stored = run.requests if trials is None else run.requests.only(trials)
    whole = stored.frame()
    names = ("stream", "backend", "scheduled_ns", "status", "no such column")
    for some in (stored.columns(*names), Samples(whole).columns(*names)):
        assert list(some.columns) == list(names[:-1])
        assert all(some[name].dtype.name == "category" for name in names[:2])
        texts = some.astype({"stream": "string", "backend": "string"})
        pd.testing.assert_frame_equal(
            texts, whole[list(names[:-1])].astype({"stream": "string", "backend": "string"})
        )


def test_categories_are_in_alphabetical_order_and_hold_what_is_missing(run: Run) -> None:
    backend = run.requests.columns("backend")["backend"]
    assert list(backend.cat.categories) == ["web-0", "web-1", "web-2"]
    assert backend.isna().sum() == (run.samples["outcome"] != "ok").sum() > 0


def test_one_trial_is_read_alone(run: Run) -> None:
    requests = run.requests
    assert set(requests.only(["1-crash"]).columns("trial", "end_ns")["trial"]) == {"1-crash"}
    assert requests.only(["0-hang"]).only(["1-crash"]).columns("end_ns").empty


def test_a_run_is_read_when_somebody_looks(run: Run, tmp_path: Path) -> None:
    again = load_run(balance_run(tmp_path / "run", Balancer(connections=10)))
    assert "samples" not in again.memo
    assert again.samples is again.samples
    assert len(again.only(again.trials["trial"][:2]).samples) == 40


def test_what_is_worked_out_once_is_kept_by_the_run_and_its_arguments(run: Run) -> None:
    asked: list[str] = []

    @once_per_run
    def work(_: Run, name: str = "a") -> str:
        asked.append(name)
        return name

    assert [work(run), work(run), work(run, "b"), work(run.only([]))] == ["a", "a", "b", "a"]
    assert asked == ["a", "b", "a"]
