"""All that IPVS mode keeps in one node's kernel, put together from its service ports.

A plan takes over from the one before whatever belongs to entries that did not change, and remembers
which keys it touched, so that a difference costs what changed and not what there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from testbed.proxy.ipvs_services import DEVICE, Lines, Part, Site, Style, part
from testbed.proxy.ipvs_sets import creation, set_name, sets_of
from testbed.proxy.table import ServicePortEntry

ADDRESS, IPSET, IPVS = "address", "ipset", "ipvs"
DEVICE_KEY = "device"
_DENIED, _SHORT = "denied", "short"
_SECTIONS = (ADDRESS, IPSET, IPVS, _DENIED, _SHORT)


class Touched(NamedTuple):
    """One key of one section."""

    section: str
    key: str


_ORDERED = frozenset({IPVS, _SHORT})
"""Sections where service ports that want one key may want different lines: the first one has it."""


class _Collision(Exception):
    """Two service ports want one key of an ordered section: only all of them tell who has it."""


@dataclass(frozen=True, slots=True)
class Assembled:
    """The sections of a plan, and what the next one is derived from."""

    style: Style
    site: Site
    parts: Mapping[int, Part]
    """By the identity of the entry, which the part keeps alive."""
    sections: Mapping[str, Lines]
    again: Mapping[Touched, int]
    """How many more service ports want a key that is there already."""
    sizes: Mapping[str, int]
    """Set name -> number of entries."""
    mark: object = field(default_factory=object, compare=False, repr=False)
    """Stands for this plan, without keeping it."""
    origin: object = field(default=None, compare=False, repr=False)
    """The mark of the plan that `touched` counts from; None: it was made from nothing."""
    touched: frozenset[Touched] = field(default=frozenset(), compare=False, repr=False)

    @property
    def denied(self) -> tuple[str, ...]:
        """Rules of KUBE-IPVS-OUT-FILTER, sorted."""
        return tuple(sorted(self.sections[_DENIED]))

    @property
    def short(self) -> tuple[tuple[str, str], ...]:
        """What KUBE-CLUSTER-TRAFFIC matches, and where it leads ("": nowhere else), sorted."""
        items = self.sections[_SHORT].items()
        return tuple(sorted((where, "".join(target)) for where, target in items))

    @property
    def filled(self) -> frozenset[str]:
        """Names of the sets that have entries."""
        return frozenset(name for name, size in self.sizes.items() if size)


def assemble(
    ports: Iterable[ServicePortEntry], style: Style, site: Site, before: Assembled | None
) -> Assembled:
    """The sections for some service ports; `before` only saves work."""
    ports = tuple(ports)
    if before is None or (before.style, before.site) != (style, site):
        return _from_nothing(ports, style, site, {})
    known = before.parts
    parts = {id(entry): known.get(id(entry)) or part(entry, style, site) for entry in ports}
    added = [one for key, one in parts.items() if key not in known]
    removed = []
    if len(known) + len(added) != len(parts):
        removed = [one for key, one in known.items() if key not in parts]
    try:
        return _patched(before, parts, removed, added)
    except _Collision:
        return _from_nothing(ports, style, site, parts)


class _Work:
    """Sections being put together."""

    def __init__(
        self, sections: Mapping[str, Lines], again: Mapping[Touched, int], sizes: Mapping[str, int]
    ) -> None:
        self.sections = {name: dict(lines) for name, lines in sections.items()}
        self.again = dict(again)
        self.sizes = dict(sizes)
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
    for name, lines in zip(_SECTIONS, sections, strict=True):
        for key, value in lines.items():
            yield Touched(name, key), value


def _from_nothing(
    ports: tuple[ServicePortEntry, ...], style: Style, site: Site, known: Mapping[int, Part]
) -> Assembled:
    sections: dict[str, Lines] = {name: {} for name in _SECTIONS}
    sections[ADDRESS][DEVICE_KEY] = (f"link add {DEVICE} type dummy",)
    for one in sets_of(style.documented):
        sections[IPSET][set_name(one, style.family)] = (creation(one, style.family),)
    work = _Work(sections, {}, {})
    parts = {id(entry): known.get(id(entry)) or part(entry, style, site) for entry in ports}
    for found in parts.values():
        work.add(found, strict=False)
    return Assembled(style, site, parts, work.sections, work.again, work.sizes)


def _patched(
    before: Assembled, parts: Mapping[int, Part], removed: Iterable[Part], added: Iterable[Part]
) -> Assembled:
    if any(touched.section in _ORDERED for touched in before.again):
        raise _Collision
    work = _Work(before.sections, before.again, before.sizes)
    for one in removed:
        work.remove(one)
    for one in added:
        work.add(one, strict=True)
    return Assembled(
        before.style,
        before.site,
        parts,
        work.sections,
        work.again,
        work.sizes,
        origin=before.mark,
        touched=frozenset(work.touched),
    )
