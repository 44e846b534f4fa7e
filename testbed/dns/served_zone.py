"""A zone of records as its authoritative server answers for it (RFC 1034 section 4.3.2, wildcards RFC 4592)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from testbed.dns.query import Reply
from testbed.dns.wire import ANY, CNAME, IN, NOERROR, NS, NXDOMAIN, REFUSED, SOA, Question, Record

_MAX_CHAIN = 8
_SOA_TIMES = "7200 3600 1209600"  # refresh, retry, expire, as RFC 1912 section 2.2 has it
NEGATIVE_TTL_S = 5
"""Absence is believed this long: names of services come and go."""


class ServedZone:
    """A zone whose names change: `origin` in lower case, `server` the name of its name server.

    It answers for the rest of the world, too, in which there is nothing: who asks it for another name
    is told that it does not exist, and has no need to wait for servers that are not there.
    """

    def __init__(self, origin: str, server: str) -> None:
        self.origin = origin
        self.serial = 0
        self._server = server
        self._records: dict[str, tuple[Record, ...]] = {}
        self._below: dict[str, int] = {}
        """How many names with records are at a name or below it: one with none is an empty non-terminal."""

    def put(self, changed: Mapping[str, tuple[Record, ...]], serial: int) -> None:
        """From now on these names have these records; with none, a name is no more."""
        self.serial = serial
        for name, records in changed.items():
            step = bool(records) - (name in self._records)
            for parent in _upwards(name, self.origin) if step else ():
                self._below[parent] = self._below.get(parent, 0) + step
                if not self._below[parent]:
                    del self._below[parent]
            if records:
                self._records[name] = records
            else:
                self._records.pop(name, None)

    def answer(self, question: Question) -> Reply:
        """Records, NODATA or NXDOMAIN with a SOA; REFUSED for other classes. It holds until the next change."""
        found = self._found(question) if question.class_ == IN else Reply(REFUSED)
        return replace(found, depends=frozenset({self.origin}))

    def _found(self, question: Question) -> Reply:
        chain: tuple[Record, ...] = ()
        name = question.name.rstrip(".")
        while True:
            records = self._at(name)
            if records is None:
                return Reply(NXDOMAIN, chain, (self._soa(name),))
            matching = tuple(one for one in records if question.type in (one.type, ANY))
            alias = next((one for one in records if one.type == CNAME), None)
            if matching or alias is None:
                authority = () if matching else (self._soa(name),)
                return Reply(NOERROR, chain + matching, authority, rotate=len(matching) > 1)
            chain += (alias,)
            name = alias.data.rstrip(".")
            if len(chain) == _MAX_CHAIN:  # round in a circle
                return Reply(NOERROR, chain)

    def _at(self, name: str) -> tuple[Record, ...] | None:
        """All records at a name, in the case in which it was asked for; None where it does not exist."""
        lower = name.lower()
        if lower == self.origin:
            server = Record(name, NS, NEGATIVE_TTL_S, f"{self._server}.")
            return (replace(self._soa(name), name=name), server, *self._renamed(lower, name))
        if not _is_below(lower, self.origin):
            return () if _is_below(self.origin, lower) else None
        if lower in self._below:
            return self._renamed(lower, name)
        encloser = next(one for one in _upwards(lower, self.origin) if self._exists(one))
        wildcard = f"*.{encloser}"
        return self._renamed(wildcard, name) if wildcard in self._records else None

    def _exists(self, lower: str) -> bool:
        return lower == self.origin or lower in self._below

    def _renamed(self, lower: str, name: str) -> tuple[Record, ...]:
        return tuple(replace(one, name=name) for one in self._records.get(lower, ()))

    def _soa(self, name: str) -> Record:
        """Of the zone that a name is in: ours, or the root, of which we know that there is nothing else."""
        zone = self.origin if _is_below(name.lower(), self.origin) else ""
        data = f"{self._server}. hostmaster.{self.origin}. {self.serial % 2**32} {_SOA_TIMES} {NEGATIVE_TTL_S}"
        return Record(zone, SOA, NEGATIVE_TTL_S, data)


def _is_below(name: str, zone: str) -> bool:
    return not zone or name == zone or name.endswith(f".{zone}")


def _upwards(name: str, origin: str) -> Iterator[str]:
    """The name, and its parents up to the zone's own name."""
    while name != origin:
        yield name
        name = name.partition(".")[2]
    yield origin
