"""The keys that service ports want in a kernel, put together: many may want one key.

A layer takes over from the one before whatever belongs to entries that did not change, and remembers which
keys it touched, so that a difference costs what changed and not what there is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import compress
from operator import is_not
from typing import NamedTuple, TypeVar

from testbed.proxy.ipvs_services import NOTHING, Lines, Part
from testbed.proxy.stretch import differing

T = TypeVar("T")

ADDRESS, IPSET, IPVS, DENIED, SHORT = "address", "ipset", "ipvs", "denied", "short"
SECTIONS = (ADDRESS, IPSET, IPVS, DENIED, SHORT)
_ORDERED = frozenset({IPVS, SHORT})
"""Sections where service ports that want one key may want different lines: the first one has it."""


class Touched(NamedTuple):
    """One key of one section."""

    section: str
    key: str


class _Collision(Exception):
    """Two service ports want one key of an ordered section: only all of them tell who has it."""


@dataclass(frozen=True, slots=True)
class Layer:
    """Sections, and what the next layer is derived from."""

    items: tuple[object, ...]
    """What the parts were made from, kept alive: they are told apart by identity."""
    parts: tuple[Part, ...]
    sections: Mapping[str, Lines]
    again: Mapping[Touched, int]
    """How many more service ports want a key that is there already."""
    sizes: Mapping[str, int]
    """Set name -> number of entries."""
    mark: object = field(default_factory=object, compare=False, repr=False)
    """Stands for this layer, without keeping it."""
    origin: object = field(default=None, compare=False, repr=False)
    """The mark of the layer that `touched` counts from; None: it was made from nothing."""
    touched: frozenset[Touched] = field(default=frozenset(), compare=False, repr=False)


def layer(
    items: tuple[T, ...], make: Callable[[Iterable[T]], Iterable[Part]], before: Layer | None
) -> Layer:
    """The layer of some items, in their order; `before`, made alike, only saves work."""
    if before is None:
        return _from_nothing(items, tuple(make(items)))
    start, old_end, new_end = differing(before.items, items)
    old = before.parts[start:old_end]
    known = dict(zip(map(id, before.items[start:old_end]), old, strict=True))
    new = tuple([known.get(id(item)) or next(iter(make((item,)))) for item in items[start:new_end]])
    parts = before.parts[:start] + new + before.parts[old_end:]
    removed, added = apart(old, new)
    if not removed and not added:
        return before
    try:
        return _patched(before, items, parts, (removed, added))
    except _Collision:
        return _from_nothing(items, parts)


def apart(have: tuple[T, ...], want: tuple[T, ...]) -> tuple[list[T], list[T]]:
    """What of each is not, at the same place or at all, the same object in the other."""
    if len(have) == len(want):
        differ = list(map(is_not, have, want))
        return list(compress(have, differ)), list(compress(want, differ))
    old, new = set(map(id, have)), set(map(id, want))
    return [one for one in have if id(one) not in new], [one for one in want if id(one) not in old]


def touched_since(have: Layer, want: Layer) -> frozenset[Touched] | None:
    """The keys that may differ between two layers; None where nobody knows."""
    if want is have:
        return frozenset()
    return want.touched if want.origin is have.mark else None


class _Work:
    """Sections being put together."""

    def __init__(self, before: Layer | None) -> None:
        self.sections: dict[str, Lines] = {
            name: before.sections[name] if before else {} for name in SECTIONS
        }
        self._borrowed = set(SECTIONS) if before else set()
        self.again = dict(before.again) if before else {}
        self.sizes = dict(before.sizes) if before else {}
        self.touched: set[Touched] = set()

    def add(self, items: Iterable[Item], *, strict: bool) -> None:
        """Raises _Collision for an ordered key that is there, where `strict`."""
        for touched, lines in items:
            section = self._writable(touched.section)
            if touched.key not in section:
                section[touched.key] = lines
                self._count(touched, 1)
            elif strict and touched.section in _ORDERED:
                raise _Collision
            else:
                self.again[touched] = self.again.get(touched, 0) + 1
            if strict:
                self.touched.add(touched)

    def remove(self, items: Iterable[Item]) -> None:
        """Raises _Collision for an ordered key that others want, too."""
        for touched, _ in items:
            more = self.again.get(touched, 0)
            if more and touched.section in _ORDERED:
                raise _Collision
            if more > 1:
                self.again[touched] = more - 1
            elif more:
                del self.again[touched]
            else:
                del self._writable(touched.section)[touched.key]
                self._count(touched, -1)
            self.touched.add(touched)

    def _writable(self, name: str) -> Lines:
        """A section that is ours alone: the layer before is a value, and stays what it was."""
        if name in self._borrowed:
            self.sections[name] = dict(self.sections[name])
            self._borrowed.remove(name)
        return self.sections[name]

    def _count(self, touched: Touched, by: int) -> None:
        if touched.section == IPSET:
            name = touched.key.partition(" ")[0]
            self.sizes[name] = self.sizes.get(name, 0) + by


Item = tuple[Touched, tuple[str, ...]]


def _items(one: Part) -> Iterator[Item]:
    sections = (one.address, one.ipset, one.ipvs, one.denied, one.short)
    for name, lines in zip(SECTIONS, sections, strict=True):
        for key, value in lines.items():
            yield Touched(name, key), value


def _from_nothing(items: tuple[object, ...], parts: tuple[Part, ...]) -> Layer:
    work = _Work(None)
    for one in parts:
        if one is not NOTHING:  # on one node of many, most are
            work.add(_items(one), strict=False)
    return Layer(items, parts, work.sections, work.again, work.sizes)


def _patched(
    before: Layer,
    items: tuple[object, ...],
    parts: tuple[Part, ...],
    difference: tuple[list[Part], list[Part]],
) -> Layer:
    if any(touched.section in _ORDERED for touched in before.again):
        raise _Collision
    work = _Work(before)
    removed, added = difference
    gone = Counter(item for one in removed for item in _items(one))
    new = Counter(item for one in added for item in _items(one))
    work.remove((gone - new).elements())
    work.add((new - gone).elements(), strict=True)
    return Layer(
        items,
        parts,
        work.sections,
        work.again,
        work.sizes,
        origin=before.mark,
        touched=frozenset(work.touched),
    )


class Merged(Mapping[str, tuple[str, ...]]):
    """Several sections as one; what an earlier one has hides the later ones'. Put together when asked for."""

    __slots__ = ("_all", "_layers", "_without")

    def __init__(self, *layers: Lines, without: Iterable[str] = ()) -> None:
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
                self._all.update(one)
            for key in self._without:
                self._all.pop(key, None)
        return self._all
