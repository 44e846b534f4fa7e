"""The plots of a claims run: what is said beside what is found, and how long a crash is felt."""

from __future__ import annotations

from testbed.analysis.run import Finding
from testbed.claims.findings import findings
from testbed.claims.judging import saw
from testbed.report.claims import crash_windows, figures, verdicts
from tests.unit.claims.test_findings import IN_ONE, run_of

CRASH = {
    "flows": 3,
    "requests": 90,
    "lost": 4,
    "late": 3,
    "closed": 0,
    "until_ms": 900.0,
    "withdrawn_ms": 950.0,
}


def test_a_line_for_each_claim_and_a_column_for_each_mode() -> None:
    axes = verdicts(IN_ONE, findings(IN_ONE)).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["nftables", "userspace"]
    assert [label.get_text().replace("\n", " ") for label in axes.get_yticklabels()] == [
        "Every pod reaches every other pod by its own address, wherever both run.",
        "kube-proxy is not in the path: packets are forwarded without it.",
    ]


def test_a_crash_is_drawn_where_one_was_observed() -> None:
    crashed = run_of({"nftables": {"crash-new-tcp": CRASH, "flat-network": saw(1, 1)}})
    assert set(figures(crashed, findings(crashed))) == {"verdicts", "crash-windows"}
    figure = crash_windows(crashed)
    assert figure is not None
    (label,) = figure.axes[0].get_yticklabels()
    assert label.get_text() == "new TCP connections, nftables"


def test_no_crash_no_plot_of_it() -> None:
    assert set(figures(IN_ONE, findings(IN_ONE))) == {"verdicts"}


def test_what_multiplicity_leaves_is_what_is_drawn() -> None:
    """Of twenty answers at p = 0.04 none is shown."""
    many = [
        Finding("Is it?", "It is.", "holds", name=f"claim {number}", arm="nftables", p_value=0.04)
        for number in range(20)
    ]
    axes = figures(IN_ONE, many)["verdicts"].axes[0]
    drawn = [line for line in axes.get_lines() if len(line.get_xdata())]
    assert {line.get_marker() for line in drawn} == {"$?$"}
