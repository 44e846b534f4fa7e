"""Pictures as one page that holds everything: it opens from a file and asks no network."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from testbed.picture.dot import COLOURS
from testbed.picture.shapes import Picture

if TYPE_CHECKING:
    from jinja2 import Template

Draw = Callable[[Picture], str]
"""A picture -> SVG, cards with a table as links to `#table-KEY`."""


def page(name: str, pictures: Sequence[Picture], draw: Draw) -> str:
    """The page of a lab or topology; each card of a picture leads to its table below."""
    views = [(picture, _inline(draw(picture), picture.name)) for picture in pictures]
    return _template().render(name=name, views=views)


def _inline(svg: str, name: str) -> str:
    """The drawing for the middle of a page: its colours, its width, its ids are the page's."""
    text = svg[svg.index("<svg") :]
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    for colour, variable in COLOURS.items():
        text = text.replace(colour, f"var(--{variable})")
    text = re.sub(r'id="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'xlink:href="#table-([^"]+)"', rf'href="#{name}-table-\1"', text)
    # The page has its own heading; a drawing that is titled twice is read out twice.
    text = re.sub(r' xlink:title="[^"]*"', "", text)
    return re.sub(
        r'<svg width="(\d+)pt" height="(\d+)pt"',
        r'<svg role="group" style="width:\1pt"',
        text,
        count=1,
    )


def _template() -> Template:
    import jinja2

    loader = jinja2.PackageLoader("testbed.picture", "templates")
    return jinja2.Environment(
        loader=loader,
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("graph.html.j2")
