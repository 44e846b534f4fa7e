"""What it takes to let another DNS program serve a cluster's names: where it runs, and how it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from testbed.command import Command
from testbed.dns.wire import CNAME, Record, type_text
from testbed.dns.zone_listing import Records

LOOPBACK = ("127.0.0.1",)
"""A program asks itself here."""


@dataclass(frozen=True, slots=True)
class Place:
    """A DNS pod, as its program's configuration has it."""

    listen: tuple[str, ...]
    """The pod's addresses."""
    domain: str
    upstream: tuple[str, ...]
    """Who is asked for names outside the cluster; empty: nobody."""
    folder: str
    """Where its files are."""


@dataclass(frozen=True, slots=True)
class Step:
    """What makes a running program serve other records: first the files, then one of the others."""

    files: Mapping[str, str] = field(default_factory=dict)
    """Name in its folder -> text."""
    commands: tuple[Command, ...] = ()
    hang_up: bool = False
    """SIGHUP."""
    restart: bool = False
    """It reads this only when it starts."""


class Program(Protocol):
    """A DNS program in one pod. Values in, values out."""

    @property
    def says_when(self) -> bool:
        """Whether it logs that it has read its records: when it starts, and after SIGHUP."""
        ...

    @property
    def argv(self) -> tuple[str, ...]:
        """What runs in the pod."""
        ...

    def files(self, records: Records) -> Mapping[str, str]:
        """All that it reads when it starts: name in its folder -> text."""
        ...

    def update(self, before: Records, records: Records) -> Step:
        """What tells it of some names: `before` has the records that they had (perhaps none), `records` all
        that there are now, of these names and of others.
        """
        ...

    def has_read(self, line: str) -> bool:
        """Whether a line of its log is the one that says so."""
        ...


def line(record: Record) -> str:
    """A record as a line of a zone file."""
    owner = f"{record.name}." if record.name else "."
    return f"{owner} {record.ttl} IN {type_text(record.type)} {record.data}"


def lines(records: Records) -> list[str]:
    """All records, in order of their names."""
    return [line(record) for name in sorted(records) for record in records[name]]


def is_followed(place: Place, records: tuple[Record, ...]) -> bool:
    """Whether a name stands for another one, and there is somebody who can say where that leads."""
    targets = (record.data.rstrip(".").lower() for record in records if record.type == CNAME)
    inside = f".{place.domain}"
    return any(bool(place.upstream) or target.endswith(inside) for target in targets)


def is_alias(records: tuple[Record, ...]) -> bool:
    """Whether a name stands for another one."""
    return any(record.type == CNAME for record in records)
