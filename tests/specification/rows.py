"""The rows of rows.txt as values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from testbed.dns.wire import Record, type_number, type_text
from testbed.model.manifest import from_manifest
from testbed.model.objects.metadata import Object, ObjectMeta
from testbed.model.objects.services import Service, ServicePort

_FOLDER = Path(__file__).parent
MANIFESTS: tuple[dict[str, Any], ...] = tuple(
    yaml.safe_load_all((_FOLDER / "cluster.yaml").read_text())
)


@dataclass(frozen=True, slots=True)
class Row:
    """A question, and what is said to it: records as zone files write them, in no order."""

    title: str
    """Section and what it shows."""
    name: str
    """Without the final dot."""
    type: str
    status: str
    """NOERROR, NODATA or NXDOMAIN."""
    answers: frozenset[str]
    additional: frozenset[str]

    @property
    def rcode(self) -> str:
        return "NXDOMAIN" if self.status == "NXDOMAIN" else "NOERROR"

    @property
    def authority(self) -> frozenset[str]:
        """The SOA of the name's zone, without its serial, where the answer is no."""
        if self.status == "NOERROR":
            return frozenset()
        zones = ("cluster.local.", "in-addr.arpa.", "ip6.arpa.")
        zone = next(zone for zone in zones if f"{self.name.lower()}.".endswith(zone))
        return frozenset([f"{zone} 5 IN SOA ns.dns.{zone} hostmaster.{zone} - 7200 1800 86400 5"])


def _rows() -> list[Row]:
    found = []
    for block in (_FOLDER / "rows.txt").read_text().split("\n\n")[1:]:
        title, question, *records = block.strip().splitlines()
        _, name, rtype, status = question.split()
        answers = frozenset(one for one in records if not one.startswith("+ "))
        additional = frozenset(one[2:] for one in records if one.startswith("+ "))
        found.append(Row(title, name.rstrip("."), rtype, status, answers, additional))
    return found


ROWS = {row.title: row for row in _rows()}
"""By title: two alike would be one test."""


def objects() -> tuple[Object, ...]:
    """The cluster's objects, and the service that its DNS is."""
    ports = (ServicePort(53, "dns", "UDP"), ServicePort(53, "dns-tcp", "TCP"))
    addresses = ("10.3.0.10", "fd00:3::a")
    kube_dns = Service(ObjectMeta("kube-dns", "kube-system"), cluster_ips=addresses, ports=ports)
    return (kube_dns, *map(from_manifest, MANIFESTS))


def shown(record: Record) -> str:
    """A record as the rows have it."""
    kind = type_text(record.type)
    return without_serial(f"{record.name}. {record.ttl} IN {kind} {record.data}")


def without_serial(record: str) -> str:
    """The record; an SOA's serial, which changes with everything, is not shown."""
    words = record.split(" ")
    return record if words[3] != "SOA" else " ".join((*words[:6], "-", *words[7:]))


def number(row: Row) -> int:
    """Of the row's type."""
    return type_number(row.type)
