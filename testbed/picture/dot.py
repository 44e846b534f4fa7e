"""A picture in Graphviz' language. What is drawn is text in tables, so any Graphviz lays it out alike."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

from testbed.picture.shapes import Card, Cell, Line, Picture, State

if TYPE_CHECKING:
    from graphviz import Digraph

INK, QUIET, PAPER = "#1b1b1f", "#5b5b66", "#fefefe"
EDGE, CELL, BAD = "#8a8a94", "#e4f1ec", "#f9e3d4"
FILLS = {
    "node": "#f2f5f8",
    "host": "#f4f0e6",
    "switch": "#e9e9ee",
    "router": "#ece4f2",
    "service": "#e3edf8",
    "endpoint": "#e4f1ec",
    "note": "#fefefe",
}
COLOURS = {
    INK: "ink",
    QUIET: "quiet",
    PAPER: "paper",
    EDGE: "edge",
    BAD: "bad",
    **{fill: name for name, fill in FILLS.items() if fill not in {CELL, PAPER}},
    CELL: "endpoint",
}
"""What the page replaces by names of its own, so that pictures follow light and dark."""

_FONT = "DejaVu Sans"
_THINNEST, _THICKEST = 1.0, 4.0


def dot(picture: Picture, *, in_page: bool = False) -> str:
    """The graph as text. For a page, which has a heading and tables of its own, the title is left out, and
    every card that has a table leads to `#table-KEY`.
    """
    return str(graph(picture, in_page=in_page).source)


def graph(picture: Picture, *, in_page: bool = False) -> Digraph:
    """As `dot`, as the library's own."""
    from graphviz import Digraph

    drawn = Digraph(
        picture.name,
        graph_attr={
            "rankdir": "LR" if picture.sideways else "TB",
            "nodesep": "0.25",
            "ranksep": "1.1" if picture.sideways else "0.6",
            "bgcolor": PAPER,
            "pad": "0.2",
            "fontname": _FONT,
            "label": "" if in_page else f"<{_title(picture)}>",
            "labelloc": "t",
            "labeljust": "l",
        },
        node_attr={"shape": "plain", "fontname": _FONT, "fontsize": "11", "fontcolor": INK},
        edge_attr={
            "fontname": _FONT,
            "fontsize": "9",
            "color": EDGE,
            "fontcolor": QUIET,
            "arrowsize": "0.7",
        },
    )
    tables = {table.key for table in picture.tables}
    for card in picture.cards:
        extra = {"URL": f"#table-{card.key}"} if in_page and card.key in tables else {}
        drawn.node(card.key, f"<{_table(card)}>", tooltip=card.title, **extra)
    for line in picture.lines:
        _draw(drawn, line)
    return drawn


def _draw(drawn: Digraph, line: Line) -> None:
    drawn.edge(
        line.tail,
        line.head,
        # A space on both sides: the text must not touch its line.
        label="\n".join(f"  {text}  " for text in line.label),
        dir="forward" if line.arrow else "none",
        style="dashed" if line.dashed else "solid",
        penwidth=f"{_THINNEST + (_THICKEST - _THINNEST) * line.share:.2f}",
    )


def _title(picture: Picture) -> str:
    caption = "<BR/>".join(map(html.escape, _wrapped(picture.caption)))
    return (
        f'<TABLE BORDER="0" CELLSPACING="0" CELLPADDING="2"><TR><TD ALIGN="LEFT">'
        f'<FONT POINT-SIZE="15" COLOR="{INK}"><B>{html.escape(picture.title)}</B></FONT></TD></TR>'
        f'<TR><TD ALIGN="LEFT" BALIGN="LEFT"><FONT POINT-SIZE="10" COLOR="{QUIET}">{caption}'
        f"</FONT></TD></TR></TABLE>"
    )


def _wrapped(text: str, width: int = 90) -> list[str]:
    import textwrap

    return textwrap.wrap(text, width)


def _table(card: Card) -> str:
    across = _across(card.cells)
    fill = BAD if card.state == "not ready" else FILLS[card.kind]
    border = ' STYLE="ROUNDED"' if card.kind != "switch" else ""
    rows = [
        f'<TR><TD COLSPAN="{across}"><B>{html.escape(card.title)}</B></TD></TR>',
        *(_line_row(text, across) for text in card.lines),
        *_cell_rows(card.cells, across),
    ]
    return (
        f'<TABLE BORDER="1" CELLBORDER="0" CELLSPACING="3" CELLPADDING="2" COLOR="{EDGE}" '
        f'BGCOLOR="{fill}"{border}>{"".join(rows)}</TABLE>'
    )


def _across(cells: Sequence[Cell]) -> int:
    if not cells:
        return 1
    longest = max(len(text) for cell in cells for text in cell.lines)
    return min(len(cells), 4 if longest < 16 else 3 if longest < 26 else 2)


def _line_row(text: str, across: int) -> str:
    return (
        f'<TR><TD COLSPAN="{across}"><FONT POINT-SIZE="9" COLOR="{QUIET}">'
        f"{html.escape(text)}</FONT></TD></TR>"
    )


def _cell_rows(cells: Sequence[Cell], across: int) -> list[str]:
    rows = []
    for start in range(0, len(cells), across):
        row = "".join(map(_cell, cells[start : start + across]))
        rows.append(f"<TR>{row}</TR>")
    return rows


_CELL_FILLS: dict[State, str] = {"ready": CELL, "many": CELL, "not ready": BAD, "plain": PAPER}


def _cell(cell: Cell) -> str:
    first, *rest = cell.lines
    told = "".join(
        f'<BR/><FONT POINT-SIZE="8" COLOR="{QUIET}">{html.escape(text)}</FONT>' for text in rest
    )
    # Who is not ready is told by a word too: colour alone does not say it to everybody.
    if cell.state == "not ready" and "ready" not in "".join(rest):
        told += f'<BR/><FONT POINT-SIZE="8" COLOR="{QUIET}">not ready</FONT>'
    return (
        f'<TD BORDER="1" COLOR="{EDGE}" BGCOLOR="{_CELL_FILLS[cell.state]}" STYLE="ROUNDED">'
        f'<FONT POINT-SIZE="10">{html.escape(first)}</FONT>{told}</TD>'
    )
