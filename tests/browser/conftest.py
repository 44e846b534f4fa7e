"""Every kind of page there is, and a real browser that looks at them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from testbed.analysis.compare import compare
from testbed.analysis.gate import judged, margins
from testbed.analysis.run import Finding, Run, Verdict, load_run
from testbed.report.build import analysed, write
from testbed.report.differences import Compared, write_comparison
from tests.unit.analysis.synthetic import Balancer, Story, balance_run, failover_run
from tests.unit.report.conftest import BALANCE, FAILOVER, HANG, STUCK

BROWSERS = ("chromium-headless-shell", "chromium", "google-chrome")
PATIENCE_MS = 300_000.0
"""Of whatever a browser on a busy machine is waited for."""
expect.set_options(timeout=PATIENCE_MS)
VERDICTS: tuple[Verdict, ...] = ("holds", "does not hold", "undecided")
CLAIMS = [
    Finding(
        question=f"Is claim {number} of what tutorials say true, wherever the client runs?",
        hypothesis="It is, to within the margin named before.",
        verdict=VERDICTS[(number + place) % 3],
        figures={"n": number, "worst_deviation_points": 0.123 * number},
        answer=f"In {arm} it was so in {number} of 20 trials.",
        name=f"claim-{number}",
        arm=arm,
        p_value=0.01 * number,
    )
    for number in range(1, 6)
    for place, arm in enumerate(("iptables-nft", "nftables", "ipvs/rr", "ipvs/lc", "userspace"))
]


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of each kind, by its name."""
    root = tmp_path_factory.mktemp("pages")
    balance = load_run(balance_run(root / "balance", Balancer(reuse=(1, 20), connections=300)))
    stories = {"crash": [Story()] * 5, "hang": [*[HANG] * 4, STUCK]}
    failover = load_run(failover_run(root / "failover", stories, profile="smoke"))
    even = analysed(balance, BALANCE)
    smoke = analysed(_with_an_excluded_trial(failover), FAILOVER)
    claims = replace(even, findings=CLAIMS, figures=())
    return {
        "one": write([smoke], root / "one.html"),
        "claims": write([claims], root / "claims.html"),
        "several": write([even, smoke], root / "several.html"),
        "comparison": write_comparison(_compared(root), root / "comparison.html"),
    }


def _with_an_excluded_trial(run: Run) -> Run:
    bad = run.trials["trial"] == "0-crash"
    reasons = bad.map({True: "conntrack drop rose by 1", False: ""})
    return replace(run, trials=run.trials.assign(valid=~bad, invalid_reason=reasons))


def _compared(root: Path) -> Compared:
    runs = []
    for name, weights in (("a", (1, 1, 1)), ("b", (1.5, 1, 1))):
        runs.append(load_run(balance_run(root / name, Balancer(weights=weights), seed=ord(name))))
        analysed(runs[-1], BALANCE)
    a, b = (load_run(run.directory) for run in runs)
    found = compare(a, b)
    return Compared(a, b, found, judged(found.rows, margins(["5%"])))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """For a module only: as long as it is there, playwright's event loop runs in this thread, and no test
    can have one of its own.
    """
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert path, f"no browser: install one of {', '.join(BROWSERS)} (`scripts/setup test` does)"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, timeout=PATIENCE_MS)
        yield browser
        browser.close()


class Viewer:
    """Opens pages; what they ask the network for is in `requests`."""

    def __init__(self, browser: Browser, pages: dict[str, Path]) -> None:
        self._browser, self._pages = browser, pages
        self._open: list[Any] = []
        self.requests: list[str] = []

    def __call__(self, name: str, width: int = 1280, scheme: Any = "light") -> Page:
        context = self._browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme
        )
        context.set_default_timeout(PATIENCE_MS)
        self._open.append(context)
        page = context.new_page()
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(self._pages[name].as_uri())
        return page

    def close(self) -> None:
        for context in self._open:
            context.close()


@pytest.fixture
def view(browser: Browser, pages: dict[str, Path]) -> Iterator[Viewer]:
    viewer = Viewer(browser, pages)
    yield viewer
    viewer.close()
