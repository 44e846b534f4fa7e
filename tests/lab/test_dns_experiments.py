"""Search lists, a DNS pod's death, balance by names: these experiments over real labs."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.analysis import dns_failover, headless, ndots
from tests.lab.conducted import conducted

pytestmark = pytest.mark.lab

KILLS_THE_FIRST = 3
"""A seed by which that pod is deleted whose address a headless service names first."""


def test_search_lists_cost_what_libraries_are_known_to_ask(tmp_path: Path) -> None:
    run = conducted("ndots", tmp_path, "lookups=1")
    table = ndots.cells(run)
    # Of a query that is lost on a busy machine there is one more.
    assert (table["queries"] >= table["predicted"]).all()
    assert (table["queries"] == table["predicted"]).mean() > 0.9
    shares = run.trials.set_index("path")["cluster_share"]
    assert shares["plain"] == shares["autopath"] == 1
    assert shares["node-local"] < 1


def test_a_dns_pod_that_hangs_is_waited_for(tmp_path: Path) -> None:
    run = conducted("dns-failover", tmp_path, "fault=hang")
    table = dns_failover.lookups(run)
    assert set(table["library"]) == set(dns_failover.LIBRARIES)
    in_trouble = table[(table["after_s"] >= 0) & (table["late"] | ~table["answered"])]
    assert {"glibc", "musl"} <= set(in_trouble["library"])
    assert (in_trouble["took_ms"] >= dns_failover.LATE_MS).all()


def test_who_keeps_an_address_loses_it_with_its_pod(tmp_path: Path) -> None:
    arm = ("dial=headless/first", "resolve=once", "after_s=4")
    run = conducted("headless", tmp_path, *arm, seed=KILLS_THE_FIRST)
    deleted = run.events[run.events["source"] == "fault"].iloc[0]
    victim = str(deleted["object"]).rpartition("/")[2]
    table = headless.requests(run)
    assert set(table.loc[table["outcome"] == "ok", "backend"]) == {victim}
    trial = run.trials.iloc[0]
    assert trial["largest_share"] == 1
    assert trial["recover_censored"], "whoever knows no other address is not helped by a successor"
