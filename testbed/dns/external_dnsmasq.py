"""dnsmasq in a DNS pod: addresses in a hosts file, all else in its configuration.

Source: dnsmasq(8). A hosts file is read again on SIGHUP; SRV, CNAME and TXT records are read when it starts, so
for those it is started anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from testbed.dns.external import LOOPBACK, Place, Step
from testbed.dns.records import reversed_address
from testbed.dns.wire import AAAA, CNAME, PTR, SRV, TXT, A, Record
from testbed.dns.zone_listing import Records
from testbed.dns.zone_options import REVERSE

CONFIG, RECORDS, HOSTS = "dnsmasq.conf", "records.conf", "hosts"
"""Files in its folder."""

_CACHE = 10_000
_READ_AGAIN = re.compile(r"\bread .*/hosts\b")


@dataclass(frozen=True, slots=True)
class Dnsmasq:
    """In one pod (a `Program`)."""

    place: Place

    @property
    def says_when(self) -> bool:
        return True

    @property
    def argv(self) -> tuple[str, ...]:
        """As the user that it is: it would become nobody, which a user namespace of one user has not."""
        config = f"{self.place.folder}/{CONFIG}"
        here = ("--keep-in-foreground", "--user=", "--group=", "--pid-file=")
        return ("dnsmasq", *here, f"--conf-file={config}")

    def files(self, records: Records) -> Mapping[str, str]:
        return {CONFIG: _config(self.place), RECORDS: _records(records), HOSTS: _hosts(records)}

    def update(self, before: Records, records: Records) -> Step:
        after = {name: records[name] for name in before if name in records}
        files = {HOSTS: _hosts(records)}
        if _records(before) == _records(after):
            return Step(files=files, hang_up=True)
        return Step(files={**files, RECORDS: _records(records)}, restart=True)

    def has_read(self, line: str) -> bool:
        return bool(_READ_AGAIN.search(line))


def _config(place: Place) -> str:
    said = [
        "port=53",
        *(f"listen-address={address}" for address in (*LOOPBACK, *place.listen)),
        "bind-interfaces",
        "no-resolv",
        "no-hosts",
        "log-facility=-",
        *(f"local=/{zone}/" for zone in (place.domain, *(() if place.upstream else REVERSE))),
        "local-ttl=5",
        "neg-ttl=5",
        f"cache-size={_CACHE}",
        f"addn-hosts={place.folder}/{HOSTS}",
        f"conf-file={place.folder}/{RECORDS}",
        *(f"server={server}" for server in place.upstream),
    ]
    return "".join(f"{text}\n" for text in said)


def _records(records: Records) -> str:
    """What dnsmasq has an option for, but for addresses. It makes the zone's SOA and NS up."""
    every = (record for name in sorted(records) for record in records[name])
    return "".join(f"{text}\n" for record in every for text in _option(record))


def _option(record: Record) -> Iterator[str]:
    if record.type == SRV:
        priority, weight, port, target = record.data.split()
        yield f"srv-host={record.name},{target.rstrip('.')},{port},{priority},{weight}"
    elif record.type == CNAME:
        yield f"cname={record.name},{record.data.rstrip('.')},{record.ttl}"
    elif record.type == TXT:
        yield f"txt-record={record.name},{record.data}"


def _hosts(records: Records) -> str:
    """A line for each address, which points back to the first of its names: that of its PTR record."""
    names: dict[str, dict[str, None]] = {}
    for those in records.values():
        for one in those:
            if one.type == PTR:
                names.setdefault(reversed_address(one.name), {})[one.data.rstrip(".")] = None
    for name in sorted(records):
        for one in records[name]:
            if one.type in (A, AAAA):
                names.setdefault(one.data, {})[name] = None
    return "".join(f"{ip} {' '.join(those)}\n" for ip, those in sorted(names.items()))
