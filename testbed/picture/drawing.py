"""Draws a picture: runs Graphviz."""

from __future__ import annotations

from testbed.errors import MissingFeature, TestbedError
from testbed.picture.dot import graph
from testbed.picture.shapes import Picture

PNG_DPI = "130"


def svg(picture: Picture, *, in_page: bool = False) -> str:
    """The picture as an SVG document. Raises MissingFeature where there is no Graphviz."""
    return _drawn(picture, "svg", in_page).decode()


def png(picture: Picture) -> bytes:
    """The picture as PNG. Raises MissingFeature where there is no Graphviz."""
    return _drawn(picture, "png", in_page=False)


def _drawn(picture: Picture, form: str, in_page: bool) -> bytes:
    import graphviz

    drawn = graph(picture, in_page=in_page)
    if form == "png":
        drawn.graph_attr["dpi"] = PNG_DPI
    try:
        return bytes(drawn.pipe(format=form, quiet=True))
    except graphviz.ExecutableNotFound:
        raise MissingFeature(
            f"no `dot` to draw {form}",
            "apt-get install graphviz, or use -f mermaid or -f dot, which need nothing",
        ) from None
    except graphviz.CalledProcessError as error:
        said = (error.stderr or b"").decode(errors="replace").strip()
        raise TestbedError(f"Graphviz failed with code {error.returncode}: {said}") from None
