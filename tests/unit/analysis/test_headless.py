"""Balance by names, on requests whose truth is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments import headless as experiment
from testbed.analysis import headless
from testbed.analysis.run import Run
from testbed.errors import UsageError
from testbed.model.loader import load
from testbed.report.headless import figures
from tests.unit.analysis.synthetic import SECOND_NS

FAULT_NS = 10 * SECOND_NS
PODS = ("web-0", "web-1", "web-2")
FACTORS = {name: values[0] for name, values in experiment.FACTORS.items()}


def run_of(*, kept: bool, blocks: int = 6) -> Run:
    """Three clients, 100 requests a second for 10 s around the deletion of web-0, which web-3 succeeds at
    once. Who keeps addresses dials one pod for ever, the others a random one that is there.
    """
    chance = np.random.default_rng(3)
    trials = pd.DataFrame(
        [{"trial": f"b{block}", "block": block, **FACTORS} for block in range(blocks)]
    )
    samples, events = [], []
    for trial in trials["trial"]:
        due_ns = FAULT_NS + np.arange(-500, 500) * SECOND_NS // 100
        clients = np.asarray([f"client-n{n}" for n in (1, 2, 3)])[chance.integers(3, size=1000)]
        before = np.asarray(PODS)[chance.integers(3, size=1000)]
        after = np.asarray(("web-1", "web-2", "web-3"))[chance.integers(3, size=1000)]
        backends = np.where(due_ns < FAULT_NS, before, after)
        lost = np.zeros(1000, dtype=bool)
        if kept:
            backends = np.where(clients == "client-n1", "web-0", "web-1")
            lost = (backends == "web-0") & (due_ns >= FAULT_NS)
        samples.append(
            pd.DataFrame(
                {
                    "trial": trial,
                    "stream": "main",
                    "client": clients,
                    "backend": pd.Series(backends).mask(lost).astype("string"),
                    "scheduled_ns": due_ns,
                    "outcome": np.where(lost, "timeout", "ok"),
                }
            )
        )
        for t_ns, source, kind, pod in (
            (FAULT_NS - 1, "store", "pod-ready", "web-2"),
            (FAULT_NS, "fault", "delete", "web-0"),
            (FAULT_NS + 1, "store", "pod-ready", "web-3"),
        ):
            events.append({"trial": trial, "t_ns": t_ns, "source": source, "kind": kind,
                           "object": f"default/{pod}", "detail": {}})  # fmt: skip
    meta = {"experiment": "headless", "factors": {name: [v] for name, v in FACTORS.items()}}
    frames = pd.concat(samples, ignore_index=True), pd.DataFrame(), pd.DataFrame(events)
    return Run(Path(), meta, trials, *frames)


def verdicts(run: Run) -> dict[str, str]:
    return {one.name: one.verdict for one in experiment.analyse(run)}


def test_who_asks_each_time_is_even_and_hears_of_the_successor() -> None:
    run = run_of(kept=False)
    assert verdicts(run) == {"as-even": "holds", "recovers": "holds"}
    table = headless.metrics(run)
    assert (table["lost_share"] == 0).all()
    assert table["successor_share"].mean() == pytest.approx(1 / 3, abs=0.1)


def test_who_keeps_an_address_is_bound_to_it() -> None:
    run = run_of(kept=True)
    assert verdicts(run) == {"as-even": "does not hold", "recovers": "does not hold"}
    table = headless.metrics(run)
    assert (table["largest_share"] == 1).all()
    assert table["recover_censored"].all()
    assert (table["successor_share"] == 0).all()
    assert table["lost_share"].mean() == pytest.approx(1 / 3, abs=0.1)


def test_its_figures_are_drawn_from_one_trial_up() -> None:
    for run in (run_of(kept=True, blocks=1), run_of(kept=False)):
        assert set(figures(run, experiment.MARGIN_CV)) == {
            "evenness",
            "deletion",
            "around-the-deletion",
        }


def test_its_topology_has_a_headless_service_and_servers_that_turn_addresses_or_not() -> None:
    quickstart = load(Path("topologies/quickstart.yaml"))
    for dial, turned in (("headless", True), (experiment.FIRST, False)):
        made = experiment.arrange(quickstart, FACTORS | {"dial": dial})
        assert made.services["web-pods"].cluster_ip == "None"
        names = [plugin.name for plugin in made.dns.plugins]
        assert ("loadbalance" in names) == turned
    with pytest.raises(UsageError, match="at least 2 replicas"):
        experiment.arrange(quickstart, FACTORS | {"replicas": 1})
