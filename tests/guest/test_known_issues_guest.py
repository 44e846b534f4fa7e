"""What was reported of IPVS, provoked on a kernel that has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.issues.findings import NOTE
from tests.lab.conducted import conducted

pytestmark = pytest.mark.guest


def test_ports_that_come_back_are_led_to_who_left_where_the_switch_is_on(tmp_path: Path) -> None:
    """Both arms on one kind of kernel: as kube-proxy leaves its settings on it, and as it set older ones."""
    run = conducted(
        "known-issues",
        tmp_path,
        "proxy=ipvs/rr",
        "issues=port-reuse",
        "bug=none,bug:reuse-ports",
    )
    bugs = dict(zip(run.trials["trial"], run.trials["bug"], strict=True))
    notes = run.events[run.events["kind"] == NOTE]
    found = {
        (bugs[trial], detail["issue"]): detail
        for trial, detail in zip(notes["trial"], notes["detail"], strict=True)
    }
    assert all(detail["attempts"] for detail in found.values()), found
    shown = {key for key, detail in found.items() if detail["shown"]}
    assert shown == {("bug:reuse-ports", "port-reuse-to-the-gone")}, found
    assert "conn_reuse_mode=0" in found["bug:reuse-ports", "port-reuse-to-the-gone"]["remark"]
