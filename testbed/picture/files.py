"""What `graph` writes: one picture or several, in the form that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from testbed.errors import UsageError
from testbed.picture.dot import dot
from testbed.picture.drawing import png, svg
from testbed.picture.mermaid import mermaid
from testbed.picture.page import page
from testbed.picture.shapes import Picture

FORMS = ("svg", "png", "html", "mermaid", "dot")


def written(name: str, pictures: Sequence[Picture], form: str) -> bytes:
    """The file's content. Raises UsageError for several pictures in a form that holds one."""
    if form == "html":
        return page(name, pictures, partial(svg, in_page=True)).encode()
    if len(pictures) != 1:
        names = ", ".join(picture.name for picture in pictures)
        raise UsageError(f"{form} holds one picture", f"say --view, one of {names}; or -f html")
    if form == "png":
        return png(pictures[0])
    if form == "mermaid":
        return mermaid(pictures[0]).encode()
    return (dot(pictures[0]) if form == "dot" else svg(pictures[0])).encode()
