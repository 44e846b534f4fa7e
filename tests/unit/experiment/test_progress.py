"""The line that a trial gets."""

from __future__ import annotations

import pytest

from testbed.experiment.design import Design, Trial
from testbed.experiment.progress import Progress, clock_text

DESIGN = Design({"fault": ("crash", "hang"), "replicas": (3,)}, repeats=6, seed=1)
TRIAL = Trial("b00-a1", 0, 1, {"fault": "hang", "replicas": 3}, seed=1)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (42.4, "0:42"), (725, "12:05"), (11_220, "3:07:00")]
)
def test_a_time_that_is_left(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text


@pytest.mark.parametrize(
    ("invalid", "says"),
    [
        ((), "failover [ 4/12] b00-a1 fault=hang: 8.2 s, ok, "),
        (("steal", "lag"), "failover [ 4/12] b00-a1 fault=hang: 8.2 s, INVALID: steal; lag, "),
    ],
)
def test_a_line_says_what_was_run_how_it_went_and_what_is_left(
    invalid: tuple[str, ...], says: str
) -> None:
    lines: list[str] = []
    Progress("failover", DESIGN, lines.append).trial(TRIAL, 8.23, invalid, valid=4)
    assert lines[0].startswith(says)
    assert lines[0].endswith(" left")
