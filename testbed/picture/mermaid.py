"""A picture as Mermaid text, as Markdown on code forges shows it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from testbed.picture.shapes import Card, Cell, Line, Picture

_ESCAPED = str.maketrans({'"': "#quot;", "<": "#lt;", ">": "#gt;", "&": "#amp;", "`": "#96;"})


def mermaid(picture: Picture) -> str:
    """The whole diagram, a statement a line."""
    ids = {card.key: f"c{number}" for number, card in enumerate(picture.cards)}
    statements = [
        "---",
        f"title: {_plain(picture.title)}",
        "---",
        f"%% {picture.caption}",
        f"flowchart {'LR' if picture.sideways else 'TB'}",
    ]
    for card in picture.cards:
        statements += _card(ids[card.key], card)
    statements += [_line(line, ids) for line in picture.lines]
    bad = [ids[card.key] for card in picture.cards if card.state == "not ready"]
    if bad:
        statements.append(f"  class {','.join(bad)} bad")
        statements.append("  classDef bad stroke-dasharray: 4")
    return "\n".join(statements) + "\n"


def _card(ident: str, card: Card) -> list[str]:
    text = _text((card.title, *card.lines))
    if not card.cells:
        shape = ('(["', '"])') if card.kind == "service" else ('["', '"]')
        return [f"  {ident}{shape[0]}{text}{shape[1]}"]
    inner = [_cell(f"{ident}_{number}", cell) for number, cell in enumerate(card.cells)]
    return [f'  subgraph {ident}["{text}"]', *inner, "  end"]


def _cell(ident: str, cell: Cell) -> str:
    mark = " (not ready)" if cell.state == "not ready" else ""
    first, *rest = cell.lines
    return f'    {ident}("{_text((first + mark, *rest))}")'


def _line(line: Line, ids: dict[str, str]) -> str:
    arrow = {
        (True, False): "-->",
        (True, True): "-.->",
        (False, False): "---",
        (False, True): "-.-",
    }[line.arrow, line.dashed]
    label = f'|"{_text(line.label)}"|' if line.label else ""
    return f"  {ids[line.tail]} {arrow}{label} {ids[line.head]}"


def _text(lines: Sequence[str]) -> str:
    return "<br/>".join(text.translate(_ESCAPED) for text in lines)


def _plain(text: str) -> str:
    """For the front matter, which is YAML."""
    return '"' + re.sub(r'["\\]', " ", text) + '"'
