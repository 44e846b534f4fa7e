"""From the notes of trials to findings, and which switches are tried where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from testbed.analysis.run import EVENT_COLUMNS, Run
from testbed.errors import UsageError
from testbed.issues import register
from testbed.issues.bugs import (
    BUGS,
    KEEP_STALE_UDP,
    NONE,
    REUSE_PORTS,
    SKIP_EMPTY_SERVICES,
    with_bug,
)
from testbed.issues.findings import findings, metrics
from testbed.issues.issue import attempt
from testbed.model.topology import Topology

ISSUE = "udp-endpoint-replaced"
TOPOLOGY = Topology.model_validate({"name": "t", "nodes": {"n1": {}}})


def run(*trials: tuple[str, str, int]) -> Run:
    """Each trial is (mode, switch, whether the issue showed)."""
    rows: list[dict[str, Any]] = []
    events = []
    for number, (mode, bug, shown) in enumerate(trials):
        rows.append({"trial": number, "proxy": mode, "bug": bug})
        detail = {"issue": ISSUE, **attempt(1, shown, "it stuck" if shown else "")}
        events.append((number, 0, "trial", "", "issue", "", 0, detail))
    meta = {
        "experiment": "known-issues",
        "factors": {"proxy": ["nftables", "userspace"], "bug": list(BUGS)},
        "environment": {"kernel": {"release": "6.1", "carrier": "uml"}},
    }
    frame = pd.DataFrame(events, columns=pd.Index(EVENT_COLUMNS))
    return Run(Path(), meta, pd.DataFrame(rows), pd.DataFrame(), pd.DataFrame(), frame)


def test_a_fault_that_was_switched_on_says_so_and_decides_nothing_over_all() -> None:
    trials = [("nftables", NONE, 0)] * 5 + [("nftables", KEEP_STALE_UDP, 1)] * 5
    own, switched, over_all = findings(run(*trials))
    assert (own.arm, own.verdict) == ("nftables", "does not hold")
    assert (switched.arm, switched.verdict) == ("nftables bug:keep-stale-udp", "holds")
    assert "Reproduced on Linux 6.1 (guest) in 5 of 5 trials" in switched.answer
    assert (over_all.arm, over_all.verdict, over_all.confirmatory) == ("", "does not hold", False)
    assert over_all.answer == (
        "Reproduced in nftables bug:keep-stale-udp; not reproduced in nftables."
    )


def test_one_mode_that_shows_it_is_enough() -> None:
    trials = [("nftables", NONE, 0)] * 5 + [("userspace", NONE, 1)] * 5
    assert findings(run(*trials))[-1].verdict == "holds"


def test_a_row_per_trial() -> None:
    rows = metrics(run(("nftables", NONE, 0), ("nftables", KEEP_STALE_UDP, 1)))
    assert rows.to_dict("list") == {
        "trial": [0, 1],
        "issues_attempted": [1, 1],
        "issues_shown": [0, 1],
    }


def test_every_name_and_number_is_one_issue_s_and_every_issue_is_in_a_part() -> None:
    names = [issue.name for issue in register.ISSUES]
    assert len(set(names)) == len(names) == len({issue.number for issue in register.ISSUES})
    assert [issue for part in register.parts(register.ISSUES) for issue in part] != []
    assert sum(map(len, register.parts(register.ISSUES))) == len(names)


@pytest.mark.parametrize(
    ("choice", "mode", "bug", "expected"),
    [
        ("stale-udp", "nftables", KEEP_STALE_UDP, 5),
        ("stale-udp", "nftables", SKIP_EMPTY_SERVICES, 1),
        ("port-reuse", "ipvs/rr", REUSE_PORTS, 3),
        ("port-reuse", "nftables", REUSE_PORTS, 0),
        (ISSUE, "nftables", NONE, 1),
        ("imbalance", "nftables", KEEP_STALE_UDP, 0),
    ],
)
def test_what_is_attempted(choice: str, mode: str, bug: str, expected: int) -> None:
    assert len(register.chosen(choice, mode, bug)) == expected


def test_a_switch_changes_the_proxies() -> None:
    assert with_bug(TOPOLOGY, NONE).proxy.profile == "documented"
    assert with_bug(TOPOLOGY, KEEP_STALE_UDP).proxy.bugs == ("keep-stale-udp",)
    assert with_bug(TOPOLOGY, SKIP_EMPTY_SERVICES).proxy.profile == "kube-proxy-1.36"
    assert with_bug(TOPOLOGY, REUSE_PORTS) == with_bug(TOPOLOGY, NONE)


def test_somebody_else_s_proxy_has_faults_of_its_own() -> None:
    proxy = TOPOLOGY.proxy.model_copy(update={"mode": "external"})
    external = TOPOLOGY.model_copy(update={"proxy": proxy})
    assert with_bug(external, NONE) == external
    with pytest.raises(UsageError, match="the testbed's own"):
        with_bug(external, KEEP_STALE_UDP)
