"""What a reader meets in a real browser: on a phone, in the dark, on paper, without a mouse."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import Viewer

pytestmark = pytest.mark.browser

PAGES = ("one", "claims", "several", "comparison")
WIDTHS = (360, 768, 1280, 1920)

DARK, LIGHT = "rgb(23, 24, 27)", "rgb(254, 254, 254)"
"""Of the page behind everything."""

TOO_FAINT = """
() => {
  const luminance = colour => {
    const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map(part => {
      const value = part / 255;
      return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = luminance(getComputedStyle(document.body).backgroundColor);
  return [...document.querySelectorAll('svg text')].filter(text => {
    const style = getComputedStyle(text);
    if (parseFloat(style.opacity) < 1) return false;  // the watermark
    if (text.closest('[data-on-image]') || !text.style.fill.startsWith('var')) return false;
    const ink = luminance(style.fill);
    return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05) < 4.5;
  }).map(text => text.textContent);
}
"""
HEADINGS = "() => [...document.querySelectorAll('h1,h2,h3,h4,h5')].map(h => +h.tagName[1])"


def paper(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


@pytest.mark.parametrize("name", PAGES)
def test_no_page_scrolls_sideways(view: Viewer, name: str) -> None:
    page = view(name)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, width


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_no_page_shuts_anybody_out(view: Viewer, name: str, scheme: str) -> None:
    page = view(name, scheme=scheme)
    assert paper(page) == (DARK if scheme == "dark" else LIGHT)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    found: dict[str, Any] = Axe().run(page).response
    grave = [
        (fault["id"], [node["target"] for node in fault["nodes"]][:5])
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
    ]
    assert grave == []
    assert page.evaluate(TOO_FAINT) == []


@pytest.mark.parametrize("name", PAGES)
def test_headings_skip_no_level(view: Viewer, name: str) -> None:
    levels = view(name).evaluate(HEADINGS)
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_asked_of_the_network(view: Viewer, name: str) -> None:
    view(name)
    (address,) = [address for address in view.requests if not address.startswith("data:")]
    assert address.startswith("file://")


def test_the_keyboard_reaches_the_answers_and_every_switch(view: Viewer) -> None:
    page = view("one")
    focused = "document.activeElement.id || document.activeElement.className"
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "skip"
    assert page.locator(".skip").bounding_box()["x"] >= 0  # type: ignore[index]
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "theme-auto"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(focused) == "theme-dark"
    assert paper(page) == DARK
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_function(f"({focused}) === 'main'")
    page.locator("summary").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("details").first).to_have_attribute("open", "")


def test_focus_can_be_seen(view: Viewer) -> None:
    page = view("one")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(outline) != "none"


@pytest.mark.parametrize(
    ("scheme", "other", "shown"), [("light", "dark", DARK), ("dark", "light", LIGHT)]
)
def test_the_switch_overrules_the_screen(view: Viewer, scheme: str, other: str, shown: str) -> None:
    page = view("one", scheme=scheme)
    page.locator(f"#theme-{other}").check()
    assert paper(page) == shown
    assert page.evaluate(TOO_FAINT) == []


def test_a_verdict_leads_to_its_answer(view: Viewer) -> None:
    page = view("claims", width=360)
    cell = page.locator(".matrix td a").nth(7)
    where = str(cell.get_attribute("href"))
    cell.focus()
    page.keyboard.press("Enter")
    page.wait_for_function("where => location.hash === where", arg=where)
    # Where it begins, not only some of it.
    page.wait_for_function(
        "where => { const top = document.querySelector(where).getBoundingClientRect().top;"
        " return 0 <= top && top < innerHeight; }",
        arg=where,
    )


@pytest.mark.parametrize("name", PAGES)
def test_on_paper_it_is_light_and_whole(view: Viewer, name: str) -> None:
    page = view(name, scheme="dark")
    page.locator("#theme-dark").check()
    page.emulate_media(media="print")
    assert paper(page) == LIGHT
    assert not page.locator("nav").is_visible()
    words = page.locator(".words ul")
    if words.count():
        assert words.first.bounding_box()["height"] > 10  # type: ignore[index]
    assert page.pdf(format="A4")[:5] == b"%PDF-"
