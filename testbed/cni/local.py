"""`testbed-local`: gives out the addresses of a node's ranges in turn, as host-local does; it knows CNI 1.1.0.

    {"type": "testbed-local", "ranges": [[{"subnet": "10.244.1.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}

What is given out is in DATADIR/NETWORK.json.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testbed.cni.local_ranges import RangeSet, asked_for, next_free, ranges_of
from testbed.cni.plugin import Call, Refusal, Result, run
from testbed.cni.protocol import (
    ADD,
    BAD_CONFIG,
    CHECK,
    DEL,
    GC,
    NOT_AVAILABLE,
    STATUS,
    Json,
)
from testbed.ip import IPInterface

_DATA_DIR = "/var/lib/cni/testbed-local"
_FULL, _NOT_OURS = 110, 111


@dataclass(slots=True)
class _Book:
    """Who has which address, and which was given out last, by the number of the range set."""

    owners: dict[str, tuple[str, str]]
    last: dict[str, str]

    def of(self, owner: tuple[str, str]) -> list[str]:
        return [address for address, one in self.owners.items() if one == owner]


@contextmanager
def _book(call: Call) -> Iterator[_Book]:
    """The network's, ours alone for the length of the block; kept unless that raises."""
    folder = Path(call.config["ipam"].get("dataDir") or _DATA_DIR)
    folder.mkdir(parents=True, exist_ok=True)
    fd = os.open(folder / f"{call.network}.json", os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(fd, "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        text = file.read()
        kept = json.loads(text) if text else {"owners": {}, "last": {}}
        owners = {address: (one[0], one[1]) for address, one in kept["owners"].items()}
        book = _Book(owners, kept["last"])
        yield book
        file.seek(0)
        file.truncate()
        json.dump({"owners": book.owners, "last": book.last}, file)


def _ranges(call: Call) -> tuple[RangeSet, ...]:
    try:
        return ranges_of(call.config.get("ipam") or {})
    except (ValueError, AttributeError) as error:
        raise Refusal(BAD_CONFIG, f"ipam: {error}") from None


def _add(call: Call) -> Json:
    sets = _ranges(call)
    wanted = call.asked("ips") or ()
    given: list[tuple[IPInterface, str]] = []
    with _book(call) as book:
        owner = (call.container, call.interface)
        if have := book.of(owner):
            raise Refusal(BAD_CONFIG, f"{owner[0]} has {', '.join(have)} already")
        for number, ranges in enumerate(sets):
            address = asked_for(ranges, wanted) or next_free(
                ranges, book.owners, book.last.get(str(number), "")
            )
            subnets = ", ".join(str(part.subnet) for part in ranges)
            if address is None:
                raise Refusal(_FULL, f"no address of {subnets} is free")
            if str(address.ip) in book.owners:
                raise Refusal(_FULL, f"{address.ip} is in use")
            book.owners[str(address.ip)] = owner
            book.last[str(number)] = str(address.ip)
            gateway = next(part.gateway for part in ranges if address.ip in part.subnet)
            given.append((address, str(gateway)))
    ips = tuple({"address": str(address), "gateway": gateway} for address, gateway in given)
    told = Result((), ips, tuple(call.config["ipam"].get("routes") or ())).told(call.version)
    return {key: item for key, item in told.items() if key != "interfaces"}


def _delete(call: Call) -> Json:
    with _book(call) as book:
        for address in book.of((call.container, call.interface)):
            del book.owners[address]
    return {}


def _check(call: Call) -> Json:
    with _book(call) as book:
        if not book.of((call.container, call.interface)):
            raise Refusal(_NOT_OURS, f"{call.container} has no address here")
    return {}


def _collect(call: Call) -> Json:
    valid = call.valid
    with _book(call) as book:
        book.owners = {ip: owner for ip, owner in book.owners.items() if owner in valid}
    return {}


def _status(call: Call) -> Json:
    sets = _ranges(call)
    with _book(call) as book:
        for number, ranges in enumerate(sets):
            if next_free(ranges, book.owners, book.last.get(str(number), "")) is None:
                subnets = ", ".join(str(part.subnet) for part in ranges)
                raise Refusal(NOT_AVAILABLE, f"no address of {subnets} is free")
    return {}


def main() -> None:
    run({ADD: _add, DEL: _delete, CHECK: _check, GC: _collect, STATUS: _status})
