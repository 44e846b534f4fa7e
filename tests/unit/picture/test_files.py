"""Pictures as files: every ready-made topology, in every form."""

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from testbed.errors import MissingFeature, UsageError
from testbed.model.loader import load
from testbed.picture.dot import COLOURS
from testbed.picture.files import written
from testbed.picture.scene import scene_of
from testbed.picture.shapes import Picture
from testbed.picture.views import VIEWS

TOPOLOGIES = sorted((Path(__file__).parents[3] / "topologies").glob("*.yaml"))
DRAWN = [path for path in TOPOLOGIES if path.stem != "scale-fake"]
"""Without the one of 100,000 pods: what its controllers would do takes a minute to foresee."""
QUICKSTART = next(path for path in TOPOLOGIES if path.stem == "quickstart")


def pictures(path: Path) -> list[Picture]:
    scene = scene_of(load(path))
    return [view(scene) for view in VIEWS.values()]


@pytest.mark.parametrize("path", DRAWN, ids=lambda path: path.stem)
def test_every_topology_is_drawn(path: Path) -> None:
    for picture in pictures(path):
        svg = written("t", [picture], "svg")
        texts = "".join(ElementTree.fromstring(svg).itertext())
        assert all(card.title in texts for card in picture.cards)
        assert written("t", [picture], "dot") == written("t", [picture], "dot")
        assert written("t", [picture], "mermaid").startswith(b"---\ntitle: ")


def test_a_png_is_one() -> None:
    assert written("t", pictures(TOPOLOGIES[0])[:1], "png").startswith(b"\x89PNG")


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids += [found["id"] or ""] if "id" in found else []
        self.links += [value or "" for key, value in attrs if key in {"href", "src", "xlink:href"}]


def test_the_page_holds_everything_and_its_links_lead_somewhere() -> None:
    text = written("quickstart", pictures(QUICKSTART), "html").decode()
    page = _Page(text)
    assert len(page.ids) == len(set(page.ids))
    assert {link for link in page.links if not link.startswith("#")} == set()
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert len([link for link in page.links if "-table-node-" in link]) == 6
    colours = set(re.findall(r'(?:fill|stroke)="(#[0-9a-f]{6})"', text))
    assert colours & set(COLOURS) == set(), "every colour follows light and dark"
    assert "<script" not in text


def test_a_form_that_holds_one_picture_takes_no_three() -> None:
    with pytest.raises(UsageError, match="say --view"):
        written("t", pictures(TOPOLOGIES[0]), "png")


def test_without_graphviz_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingFeature, match="apt-get install graphviz"):
        written("t", pictures(TOPOLOGIES[0])[:1], "svg")
