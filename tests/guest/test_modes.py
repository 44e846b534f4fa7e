"""Proxy modes side by side on one guest kernel: every trial of a run is carried by the same one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.conducted import conducted

pytestmark = pytest.mark.guest


def test_ipvs_is_compared_with_iptables_on_one_kernel(tmp_path: Path) -> None:
    run = conducted("modes", tmp_path, "proxy=iptables-legacy,ipvs/rr", "duration_s=2")
    assert run.meta["environment"]["kernel"]["carrier"] == "uml"
    assert set(run.trials["mode"]) == {"iptables-legacy", "ipvs/rr"}
    table = run.trials.set_index("proxy")
    assert table.loc["ipvs/rr", "cv"] < table.loc["iptables-legacy", "cv"]
    assert run.samples.loc[run.samples["stream"] == "main", "picked_backend"].notna().all()
    assert (table["detect_ms"] > 0).all()
