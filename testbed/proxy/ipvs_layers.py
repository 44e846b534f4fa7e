"""The keys that service ports want in a kernel, put together: many may want one key.

A layer takes over from the one before whatever belongs to entries that did not change, and remembers which
keys it touched, so that a difference costs what changed and not what there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from testbed.proxy.ipvs_services import Lines, Part
from testbed.proxy.table import ServicePortEntry

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

    parts: Mapping[int, Part]
    """By the identity of the entry, which the part keeps alive."""
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
    ports: Iterable[ServicePortEntry],
    make: Callable[[ServicePortEntry], Part],
    before: Layer | None,
) -> Layer:
    """The layer of some service ports, in their order; `before`, made alike, only saves work."""
    known = before.parts if before else {}
    parts = {id(entry): known.get(id(entry)) or make(entry) for entry in ports}
    if before is None:
        return _from_nothing(parts)
    added = [one for key, one in parts.items() if key not in known]
    removed = []
    if len(known) + len(added) != len(parts):
        removed = [one for key, one in known.items() if key not in parts]
    if not added and not removed:
        return before
    try:
        return _patched(before, parts, removed, added)
    except _Collision:
        return _from_nothing(parts)


def touched_since(have: Layer, want: Layer) -> frozenset[Touched] | None:
    """The keys that may differ between two layers; None where nobody knows."""
    if want is have:
        return frozenset()
    return want.touched if want.origin is have.mark else None


class _Work:
    """Sections being put together."""

    def __init__(self, before: Layer | None) -> None:
        self.sections: dict[str, Lines] = {
            name: dict(before.sections[name]) if before else {} for name in SECTIONS
        }
        self.again = dict(before.again) if before else {}
        self.sizes = dict(before.sizes) if before else {}
        self.touched: set[Touched] = set()

    def add(self, one: Part, *, strict: bool) -> None:
        """Raises _Collision for an ordered key that is there, where `strict`."""
        for touched, lines in _items(one):
            section = self.sections[touched.section]
            if touched.key not in section:
                section[touched.key] = lines
                self._count(touched, 1)
            elif strict and touched.section in _ORDERED:
                raise _Collision
            else:
                self.again[touched] = self.again.get(touched, 0) + 1
            if strict:
                self.touched.add(touched)

    def remove(self, one: Part) -> None:
        """Raises _Collision for an ordered key that others want, too."""
        for touched, _ in _items(one):
            more = self.again.get(touched, 0)
            if more and touched.section in _ORDERED:
                raise _Collision
            if more > 1:
                self.again[touched] = more - 1
            elif more:
                del self.again[touched]
            else:
                del self.sections[touched.section][touched.key]
                self._count(touched, -1)
            self.touched.add(touched)

    def _count(self, touched: Touched, by: int) -> None:
        if touched.section == IPSET:
            name = touched.key.partition(" ")[0]
            self.sizes[name] = self.sizes.get(name, 0) + by


def _items(one: Part) -> Iterator[tuple[Touched, tuple[str, ...]]]:
    sections = (one.address, one.ipset, one.ipvs, one.denied, one.short)
    for name, lines in zip(SECTIONS, sections, strict=True):
        for key, value in lines.items():
            yield Touched(name, key), value


def _from_nothing(parts: Mapping[int, Part]) -> Layer:
    work = _Work(None)
    for one in parts.values():
        work.add(one, strict=False)
    return Layer(parts, work.sections, work.again, work.sizes)


def _patched(
    before: Layer, parts: Mapping[int, Part], removed: Iterable[Part], added: Iterable[Part]
) -> Layer:
    if any(touched.section in _ORDERED for touched in before.again):
        raise _Collision
    work = _Work(before)
    for one in removed:
        work.remove(one)
    for one in added:
        work.add(one, strict=True)
    return Layer(
        parts,
        work.sections,
        work.again,
        work.sizes,
        origin=before.mark,
        touched=frozenset(work.touched),
    )
