"""A figure in words holds the numbers that it shows."""

from __future__ import annotations

from matplotlib.figure import Figure

from testbed.analysis.run import Run
from testbed.report.words import in_words
from tests.unit.report.conftest import BALANCE, FAILOVER


def test_intervals_are_told_by_the_category_they_stand_at() -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.errorbar([0.16, 1.16], [33.1, 34.0], yerr=[[1, 1], [1, 2]], fmt="D")
    axes.set_xticks([0, 1], ["web-0", "web-1"])
    axes.set_ylabel("share (%)")
    (text,) = in_words(figure)
    assert text.startswith("share (%); columns web-0, web-1; ")
    assert "web-0 33.1 [32.1, 34.1], web-1 34 [33, 36]" in text


def test_named_lines_are_told_from_where_to_where() -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.plot([5, 50, 500], [1.0, 4.0, 20.0], label="iptables")
    assert "iptables from 1 at 5 to 20 at 500" in in_words(figure)[0]


def test_what_is_written_in_a_matrix_is_told(balance_of: Run) -> None:
    figure = BALANCE.plot(balance_of)["transitions"]
    assert "written in it, row by row: 3" in in_words(figure)[0]


def test_every_plot_is_told_and_empty_ones_are_not(balance_of: Run) -> None:
    figures = BALANCE.plot(balance_of)
    assert [len(in_words(figures[name])) for name in ("share-connections", "evenness")] == [6, 4]


def test_the_timeline_names_its_marks(failover_of: Run) -> None:
    text = in_words(FAILOVER.plot(failover_of)["timeline-crash"])[0]
    assert "rows control plane, n1, n2, n3" in text
    assert "control plane detect: pod not ready at 700" in text
