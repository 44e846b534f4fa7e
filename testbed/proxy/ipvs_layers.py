"""The keys that service ports want in a kernel, put together: many may want one key.

A layer is derived from the one before by what goes and what comes, and remembers which keys it touched, so that
a difference costs what changed and not what there is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from immutables import Map

from testbed.proxy.ipvs_services import Lines, Part
from testbed.proxy.ruleset import Chains

ADDRESS, IPSET, IPVS, DENIED, SHORT = "address", "ipset", "ipvs", "denied", "short"
SECTIONS = (ADDRESS, IPSET, IPVS, DENIED, SHORT)
_ORDERED = frozenset({IPVS, SHORT})
"""Sections where service ports that want one key may want different lines: the first one has it."""


class Touched(NamedTuple):
    """One key of one section."""

    section: str
    key: str


Item = tuple[Touched, tuple[str, ...]]
"""A key, and the lines that one service port wants it to have."""


class Contested(Exception):
    """Two service ports want one key of an ordered section: only all of them tell who has it."""


@dataclass(frozen=True, slots=True)
class Layer:
    """Sections, and what the next layer is derived from."""

    sections: Mapping[str, Map[str, tuple[str, ...]]]
    again: Map[Touched, int]
    """How many more service ports want a key that is there already."""
    contested: bool
    """Some of those keys are in ordered sections."""
    sizes: Mapping[str, int]
    """Set name -> number of entries."""
    mark: object = field(default_factory=object, compare=False, repr=False)
    """Stands for this layer, without keeping it."""
    origin: object = field(default=None, compare=False, repr=False)
    """The mark of the layer that `touched` counts from; None: it was made from nothing."""
    touched: frozenset[Touched] = field(default=frozenset(), compare=False, repr=False)


def items_of(part: Part) -> Iterator[Item]:
    """All that a service port wants, each key once."""
    for section, lines in zip(SECTIONS, part, strict=True):
        for key, value in lines.items():
            yield Touched(section, key), value


def fresh(items: Iterable[Item]) -> Layer:
    """The layer of all service ports' items, in the order of the ports."""
    sections: dict[str, Lines] = {name: {} for name in SECTIONS}
    again: dict[Touched, int] = {}
    for touched, lines in items:
        section = sections[touched.section]
        if touched.key not in section:
            section[touched.key] = lines
        else:
            again[touched] = again.get(touched, 0) + 1
    return Layer(
        {name: Map(section) for name, section in sections.items()},
        Map(again),
        any(touched.section in _ORDERED for touched in again),
        Counter(_set_of(key) for key in sections[IPSET]),
    )


def _set_of(key: str) -> str:
    return key.partition(" ")[0]


def following(before: Layer, gone: Iterable[Item], come: Iterable[Item]) -> Layer:
    """The layer after some service ports' items went and others came; `before` itself where none differs.

    Raises Contested where it takes all items to tell.
    """
    old, new = Counter(gone), Counter(come)
    removed, added = list((old - new).elements()), list((new - old).elements())
    if not removed and not added:
        return before
    if before.contested:
        raise Contested
    work = _Work(before)
    for touched, _ in removed:
        work.remove(touched)
    for touched, lines in added:
        work.add(touched, lines)
    return work.finish()


class _Work:
    """The sections of a layer, on their way to the next one."""

    def __init__(self, before: Layer) -> None:
        self._before = before
        self._sections = {name: section.mutate() for name, section in before.sections.items()}
        self._again = before.again.mutate()
        self._sizes = dict(before.sizes)
        self._touched: set[Touched] = set()

    def add(self, touched: Touched, lines: tuple[str, ...]) -> None:
        """Raises Contested for an ordered key that is there."""
        section = self._sections[touched.section]
        if touched.key not in section:
            section[touched.key] = lines
            self._count(touched, 1)
        elif touched.section in _ORDERED:
            raise Contested
        else:
            self._again[touched] = self._again.get(touched, 0) + 1
        self._touched.add(touched)

    def remove(self, touched: Touched) -> None:
        """One service port less wants it."""
        more = self._again.get(touched, 0)
        if more > 1:
            self._again[touched] = more - 1
        elif more:
            del self._again[touched]
        else:
            del self._sections[touched.section][touched.key]
            self._count(touched, -1)
        self._touched.add(touched)

    def finish(self) -> Layer:
        return Layer(
            {name: section.finish() for name, section in self._sections.items()},
            self._again.finish(),
            False,
            self._sizes,
            origin=self._before.mark,
            touched=frozenset(self._touched),
        )

    def _count(self, touched: Touched, by: int) -> None:
        if touched.section == IPSET:
            name = _set_of(touched.key)
            self._sizes[name] = self._sizes.get(name, 0) + by


def touched_since(have: Layer, want: Layer) -> frozenset[Touched] | None:
    """The keys that may differ between two layers; None where nobody knows."""
    if want is have:
        return frozenset()
    return want.touched if want.origin is have.mark else None


class Merged(Mapping[str, tuple[str, ...]]):
    """Several sections as one; what an earlier one has hides the later ones'. Put together when asked for."""

    __slots__ = ("_all", "_layers", "_without")

    def __init__(self, *layers: Chains, without: Iterable[str] = ()) -> None:
        self._layers = layers
        self._without = frozenset(without)
        self._all: Lines | None = None

    def __getitem__(self, key: str) -> tuple[str, ...]:
        if key not in self._without:
            for one in self._layers:
                if key in one:
                    return one[key]
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._put_together())

    def __len__(self) -> int:
        return len(self._put_together())

    def _put_together(self) -> Lines:
        if self._all is None:
            self._all = {}
            for one in reversed(self._layers):
                self._all.update(one.items())
            for key in self._without:
                self._all.pop(key, None)
        return self._all
