"""Issues that were reported, provoked in real labs: what must come out in any trial."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.issues.findings import NOTE
from tests.lab.conducted import conducted

pytestmark = pytest.mark.lab

STUCK_WITHOUT_CLEANING = {
    "udp-endpoint-replaced",
    "udp-proxy-restarted",
    "udp-service-created-late",
    "udp-last-endpoint-gone",
}


def shown(folder: Path, *settings: str) -> dict[tuple[str, str], set[str]]:
    """(mode, switch) -> the issues that its trial showed; each was attempted."""
    run = conducted("known-issues", folder, *settings)
    arms = {row.trial: (row.proxy, row.bug) for row in run.trials.itertuples()}
    found: dict[tuple[str, str], set[str]] = {arm: set() for arm in arms.values()}
    notes = run.events[run.events["kind"] == NOTE]
    for trial, detail in zip(notes["trial"], notes["detail"], strict=True):
        assert detail["attempts"] > 0, detail
        if detail["shown"]:
            found[arms[trial]].add(detail["issue"])
    return found


def test_stale_udp_flows_are_mended_and_come_back_with_the_switch(tmp_path: Path) -> None:
    """udp-begun-without-endpoint is left open: with the switch it is a matter of one instant."""
    found = shown(tmp_path, "proxy=nftables", "issues=stale-udp", "bug=none,bug:keep-stale-udp")
    assert found["nftables", "none"] == set()
    assert found["nftables", "bug:keep-stale-udp"] >= STUCK_WITHOUT_CLEANING


def test_kube_proxy_1_36_forgets_services_without_endpoints(tmp_path: Path) -> None:
    found = shown(
        tmp_path, "proxy=iptables-legacy", "issues=stale-udp", "bug=bug:skip-empty-services"
    )
    assert found["iptables-legacy", "bug:skip-empty-services"] == {"udp-last-endpoint-gone"}


def test_random_picks_are_uneven_where_round_robin_is_not(tmp_path: Path) -> None:
    found = shown(tmp_path, "proxy=nftables,userspace", "issues=imbalance", "bug=none")
    # Of 40 bursts a fair random pick leaves a backend out, but once in 10^26 trials.
    uneven = {"kept-connections-uneven", "few-requests-uneven", "idle-while-others-busy"}
    assert found["nftables", "none"] == uneven | {"uneven-after-restart"}
    assert found["userspace", "none"] == {"uneven-after-restart"}
