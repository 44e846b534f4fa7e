"""What a picture is made of, before anybody spells it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["node", "host", "switch", "router", "service", "endpoint", "note"]
State = Literal["ready", "not ready", "many", "plain"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One of the things inside a card: a pod, or several that are alike."""

    key: str
    lines: tuple[str, ...]
    state: State = "plain"


@dataclass(frozen=True, slots=True)
class Card:
    """A box with a title, lines below it, and cells inside."""

    key: str
    kind: Kind
    title: str
    lines: tuple[str, ...] = ()
    cells: tuple[Cell, ...] = ()
    state: State = "plain"


@dataclass(frozen=True, slots=True)
class Line:
    """From card to card. Its label stands in its middle, a line of text each."""

    tail: str
    head: str
    label: tuple[str, ...] = ()
    arrow: bool = False
    dashed: bool = False
    share: float = 0.0
    """0 to 1: how much of what leaves `tail` goes here; thicker lines carry more."""


@dataclass(frozen=True, slots=True)
class Table:
    """What the page says about one card, in full."""

    key: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """One view. `sideways`: it reads from left to right, for pictures that are long."""

    name: str
    title: str
    caption: str
    cards: tuple[Card, ...]
    lines: tuple[Line, ...]
    tables: tuple[Table, ...] = ()
    sideways: bool = False


def some(names: Sequence[str], most: int = 3) -> str:
    """`n1, n2, n3`; `n1, n2, n3 and 7 more` where there are many."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def percent(share: float) -> str:
    """`33.3 %`, `100 %`."""
    return f"{share * 100:.3g} %"
