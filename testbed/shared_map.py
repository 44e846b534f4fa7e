"""An immutable mapping in order of insertion, whose versions share what they have in common.

A version costs what it changes, and what two versions differ in is found without walking what they share:
twenty thousand services are neither copied nor compared because of one.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, Mapping, ValuesView
from itertools import chain, count, zip_longest
from operator import itemgetter
from typing import Any, Generic, TypeVar, cast, overload

from immutables import Map

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")

_PAGE = 128
"""Pairs in a page, of which a version copies one: about the root of how many objects a large cluster has."""

_Page = tuple[tuple[K, V] | None, ...]
"""Pairs at their places; None: what was there is gone."""


class SharedMap(Mapping[K, V]):
    """Made of a mapping by `of`, derived from another by `mutate`. Values must not be None."""

    __slots__ = ("_pages", "_places")

    def __init__(self) -> None:
        self._places: Map[K, int] = Map()
        self._pages: tuple[_Page[K, V], ...] = ()

    @classmethod
    def of(cls, items: Mapping[K, V]) -> SharedMap[K, V]:
        """The same, in the same order."""
        pairs = tuple(items.items())
        made = cls()
        made._places = Map(zip(items, count(), strict=False))
        made._pages = tuple([pairs[at : at + _PAGE] for at in range(0, len(pairs), _PAGE)])
        return made

    def __getitem__(self, key: K) -> V:
        return self._at(self._places[key])[1]

    def __contains__(self, key: object) -> bool:
        return key in self._places

    @overload
    def get(self, key: K, /) -> V | None: ...
    @overload
    def get(self, key: K, /, default: V | D) -> V | D: ...
    def get(self, key: K, /, default: Any = None) -> Any:
        place = self._places.get(key)
        return default if place is None else self._at(place)[1]

    def __iter__(self) -> Iterator[K]:
        return map(itemgetter(0), _pairs(self))

    def __len__(self) -> int:
        return len(self._places)

    def items(self) -> ItemsView[K, V]:
        return _Items(self)

    def values(self) -> ValuesView[V]:
        return _Values(self)

    def __repr__(self) -> str:
        return f"SharedMap({dict(self)!r})"

    def in_order(self, keys: Iterable[K]) -> list[V]:
        """The values of some of its keys, in the map's order. Raises KeyError for a key that it has not."""
        return [self._at(place)[1] for place in sorted(map(self._places.__getitem__, keys))]

    def mutate(self) -> Mutation[K, V]:
        """Begin another version."""
        return Mutation(self)

    def changed_since(self, before: SharedMap[K, V]) -> dict[K, tuple[V | None, V | None]]:
        """The keys whose values are other objects than in a map before: (then, now); None: not there.

        The map before may be any. Where one was derived from the other, it costs little.
        """
        if before is self:
            return {}
        then: dict[K, V] = {}
        now: dict[K, V] = {}
        for old, new in zip_longest(before._pages, self._pages, fillvalue=()):
            if old is not new:
                for one, other in zip_longest(old, new):
                    if one is not other:
                        then.update((one,) if one else ())
                        now.update((other,) if other else ())
        return {
            key: (then.get(key), now.get(key))
            for key in {**then, **now}
            if then.get(key) is not now.get(key)
        }

    def _at(self, place: int) -> tuple[K, V]:
        return cast("tuple[K, V]", self._pages[place // _PAGE][place % _PAGE])


class Mutation(Generic[K, V]):
    """The next version of a map, as it is being made."""

    __slots__ = ("_before", "_edited", "_pages", "_places", "_slots")

    def __init__(self, before: SharedMap[K, V]) -> None:
        self._before = before
        self._places = before._places.mutate()
        self._pages: list[Any] = list(before._pages)
        self._edited: set[int] = set()
        self._slots = sum(map(len, self._pages[-1:])) + _PAGE * max(0, len(self._pages) - 1)

    def get(self, key: K) -> V | None:
        """What there is now, or None."""
        place = self._places.get(key)
        return None if place is None else self._pages[place // _PAGE][place % _PAGE][1]

    def __setitem__(self, key: K, value: V) -> None:
        """A new key comes last; one that is there keeps its place."""
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = self._slots
            self._slots += 1
            self._page(place).append((key, value))
        elif self._pages[place // _PAGE][place % _PAGE][1] is not value:
            self._page(place)[place % _PAGE] = (key, value)

    def __delitem__(self, key: K) -> None:
        """Raises KeyError where there is none."""
        place = self._places.pop(key)
        self._page(place)[place % _PAGE] = None

    def finish(self) -> SharedMap[K, V]:
        """The next version; the map it was begun from where nothing has changed."""
        if not self._edited:
            return self._before
        for number in self._edited:
            self._pages[number] = tuple(self._pages[number])
        made: SharedMap[K, V] = SharedMap()
        made._places, made._pages = self._places.finish(), tuple(self._pages)
        return SharedMap.of(dict(made.items())) if self._slots > 2 * len(made) + _PAGE else made

    def _page(self, place: int) -> list[tuple[K, V] | None]:
        """The page of a place, as one of ours."""
        number = place // _PAGE
        if number == len(self._pages):
            self._pages.append([])
            self._edited.add(number)
        elif number not in self._edited:
            self._pages[number] = list(self._pages[number])
            self._edited.add(number)
        return cast("list[tuple[K, V] | None]", self._pages[number])


def _pairs(found: SharedMap[K, V]) -> Iterator[tuple[K, V]]:
    return filter(None, chain.from_iterable(found._pages))


class _Items(ItemsView[K, V]):
    _mapping: SharedMap[K, V]

    def __iter__(self) -> Iterator[tuple[K, V]]:
        return _pairs(self._mapping)


class _Values(ValuesView[V]):
    _mapping: SharedMap[Any, V]

    def __iter__(self) -> Iterator[V]:
        return map(itemgetter(1), _pairs(self._mapping))
