"""What every figure must say, and that nothing in it overlaps or is too small to read."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from testbed.analysis.run import Run, load_run
from testbed.report import style
from tests.unit.analysis.synthetic import Story, failover_run
from tests.unit.report.conftest import BALANCE, FAILOVER

SMALLEST_PT = 9


@pytest.fixture(scope="module")
def drawn(balance_of: Run, failover_of: Run) -> dict[str, Figure]:
    figures = {**BALANCE.plot(balance_of), **FAILOVER.plot(failover_of)}
    for figure in figures.values():
        figure.draw_without_rendering()
    return figures


def texts(figure: Figure) -> list[Text]:
    """All that is written, but for the watermark, which lies under it on purpose."""
    unseen = beyond_the_limits(figure)
    found: list[Any] = figure.findobj(Text)
    return [
        text
        for text in found
        if text.get_visible()
        and text.get_text().strip()
        and text.get_text() != style.SMOKE
        and id(text) not in unseen
    ]


def beyond_the_limits(figure: Figure) -> set[int]:
    """Labels of ticks outside their axis's limits: they exist, but are not drawn."""
    found = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not low <= tick.get_loc() <= high:
                    found |= {id(tick.label1), id(tick.label2)}
    return found


def test_each_experiment_has_the_figures_it_must_have(balance_of: Run, failover_of: Run) -> None:
    assert set(BALANCE.plot(balance_of)) == {
        "share-connections",
        "share-requests",
        "evenness",
        "transitions",
    }
    assert set(FAILOVER.plot(failover_of)) == {
        "phases",
        "timeline-crash",
        "requests-crash",
        "timeline-hang",
        "requests-hang",
    }


def test_no_text_is_smaller_than_can_be_read(drawn: dict[str, Figure]) -> None:
    small = [
        (name, text.get_text())
        for name, figure in drawn.items()
        for text in texts(figure)
        if text.get_fontsize() < SMALLEST_PT
    ]
    assert not small


def test_no_two_texts_overlap(drawn: dict[str, Figure]) -> None:
    clashes = [
        (name, one.get_text(), other.get_text())
        for name, figure in drawn.items()
        for one, other in combinations(texts(figure), 2)
        if one.get_window_extent()
        .shrunk(0.9, 0.9)
        .overlaps(other.get_window_extent().shrunk(0.9, 0.9))
    ]
    assert not clashes


def test_titles_say_n_and_conditions(drawn: dict[str, Figure]) -> None:
    for name, figure in drawn.items():
        title = figure.get_suptitle()
        assert "trials" in title, name
        assert "iptables-nft" in title, name
        assert "kernel 6.18.0" in title, name


def test_timing_that_is_not_the_default_stands_in_the_title(drawn: dict[str, Figure]) -> None:
    assert "nodeMonitorPeriod=1s" in drawn["phases"].get_suptitle()
    assert "timing" not in drawn["evenness"].get_suptitle()


def test_factors_that_do_not_vary_stand_in_the_title(drawn: dict[str, Figure]) -> None:
    assert "probe period=1 s" in drawn["timeline-hang"].get_suptitle()


def test_a_smoke_run_is_watermarked_in_every_figure_and_another_in_none(
    drawn: dict[str, Figure],
) -> None:
    marked = {
        name
        for name, figure in drawn.items()
        if any(text.get_text() == style.SMOKE for text in figure.texts)
    }
    assert marked == {
        "phases", "timeline-crash", "requests-crash", "timeline-hang", "requests-hang",
    }  # fmt: skip


def test_captions_of_times_say_what_latency_is_missing(drawn: dict[str, Figure]) -> None:
    for name in ("phases", "timeline-crash", "requests-hang"):
        assert "without API-server and etcd latency" in style.caption_of(drawn[name])


def test_with_emulated_delays_the_caption_does_not_say_so(failover_of: Run) -> None:
    delayed = {**failover_of.meta, "timing": {"apiDelay": "5ms"}}
    run = Run(failover_of.directory, delayed, failover_of.trials, failover_of.samples,
              failover_of.ledger, failover_of.events)  # fmt: skip
    for figure in FAILOVER.plot(run).values():
        assert "etcd" not in style.caption_of(figure)


def test_phases_may_lie_decades_apart(tmp_path: Path) -> None:
    quick = Story(detect_ms=2.0, withdraw_ms=3.0)
    run = load_run(failover_run(tmp_path / "run", {"crash": [Story(), quick]}))
    FAILOVER.plot(run)["phases"].draw_without_rendering()


def test_axes_of_quantities_have_units(drawn: dict[str, Figure]) -> None:
    labels = {name: [axes.get_ylabel() for axes in figure.axes] for name, figure in drawn.items()}
    assert labels["share-connections"][0] == "share of connections (%)"
    assert labels["phases"][0] == "time after the fault (s)"
    assert labels["requests-hang"][0] == "requests per 100 ms"
    assert drawn["timeline-crash"].axes[0].get_xlabel() == "time after the fault (ms)"


def test_the_timeline_has_a_row_for_the_control_plane_and_each_node(
    drawn: dict[str, Figure],
) -> None:
    rows = [label.get_text() for label in drawn["timeline-crash"].axes[0].get_yticklabels()]
    assert rows == ["control plane", "n1", "n2", "n3"]


def test_requests_are_told_apart_without_colour(drawn: dict[str, Figure]) -> None:
    (legend,) = drawn["requests-hang"].legends
    hatches = [patch.get_hatch() or "" for patch in legend.get_patches()]
    assert len(set(hatches)) == len(hatches) == 3


def test_equal_figures_give_equal_bytes(balance_of: Run) -> None:
    one, other = (style.svg_of(BALANCE.plot(balance_of)["transitions"], "t") for _ in range(2))
    assert one == other


def test_each_figure_is_saved_as_svg_and_png(drawn: dict[str, Figure], tmp_path: Path) -> None:
    style.save({"phases": drawn["phases"]}, tmp_path / "figures")
    svg = (tmp_path / "figures" / "phases.svg").read_text(encoding="utf-8")
    assert svg.startswith("<?xml")
    assert svg.rstrip().endswith("</svg>")
    assert (tmp_path / "figures" / "phases.png").read_bytes()[:4] == b"\x89PNG"
