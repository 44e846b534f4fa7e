"""Somebody's own DNS command in a DNS pod: it is given the names as files, and told by SIGHUP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from testbed.dns.external import Place, Step, lines
from testbed.dns.wire import AAAA, A
from testbed.dns.zone_listing import Records

ZONE, HOSTS = "zone", "hosts"
"""Files in its folder: all records as a zone file, addresses as a hosts file."""


@dataclass(frozen=True, slots=True)
class OwnCommand:
    """In one pod (a `Program`)."""

    place: Place
    words: tuple[str, ...]
    """Fields in braces: see `model.dns_server.PLACEHOLDERS`."""
    kubeconfig: str

    @property
    def says_when(self) -> bool:
        return False

    @property
    def argv(self) -> tuple[str, ...]:
        blanks = {
            "folder": self.place.folder,
            "zone": f"{self.place.folder}/{ZONE}",
            "hosts": f"{self.place.folder}/{HOSTS}",
            "domain": self.place.domain,
            "address": self.place.listen[0],
            "upstream": " ".join(self.place.upstream),
            "kubeconfig": self.kubeconfig,
        }
        return tuple(word.format_map(blanks) for word in self.words)

    def files(self, records: Records) -> Mapping[str, str]:
        addresses = (
            f"{one.data} {name}\n"
            for name in sorted(records)
            for one in records[name]
            if one.type in (A, AAAA)
        )
        zone = "".join(f"{text}\n" for text in lines(records))
        return {ZONE: zone, HOSTS: "".join(addresses)}

    def update(self, before: Records, records: Records) -> Step:
        return Step(files=self.files(records), hang_up=True)

    def has_read(self, line: str) -> bool:
        """Nobody knows when it has."""
        return False
