"""Targets -> records: addresses, SRV and PTR, as the specification and CoreDNS write them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from testbed.dns.published import Target
from testbed.dns.wire import AAAA, ANY, SRV, A, Record
from testbed.ip import canonical

_PRIORITY = 0
_WEIGHTS = 100
"""CoreDNS shares it out among the targets of a name; the specification leaves weights open."""


@dataclass(frozen=True, slots=True)
class Found:
    """The records of some type at a name that exists: perhaps none."""

    records: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose records they are: the name as it was asked for, and that of the service, in lower case."""

    name: str
    service: str
    ttl_s: int

    def of(self, target: Target) -> str:
        """The name that a target's own address is at."""
        return f"{target.host}.{self.service}" if target.host else self.service


def at_host(owner: Owner, targets: Sequence[Target], rtype: int) -> Found:
    """Records of a service's or an endpoint's own name: addresses, and SRV for all its ports, as CoreDNS."""
    found = Found()
    if rtype in (A, AAAA, ANY):
        ips = dict.fromkeys(target.ip for target in targets)
        made = (address(owner.name, ip, owner.ttl_s) for ip in ips)
        found = Found(tuple(record for record in made if rtype in (record.type, ANY)))
    if rtype in (SRV, ANY):
        services = at_port(owner, targets, SRV)
        found = Found(found.records + services.records, services.additional)
    return found


def at_port(owner: Owner, targets: Iterable[Target], rtype: int) -> Found:
    """Records of a name `_port._protocol`: one SRV for each target, whose addresses come along."""
    if rtype not in (SRV, ANY):
        return Found()
    chosen = [target for target in targets if target.port]
    weight = max(1, _WEIGHTS // max(1, len(chosen)))
    records, additional = dict[Record, None](), dict[Record, None]()
    for target in chosen:
        name = owner.of(target)
        data = f"{_PRIORITY} {weight} {target.port} {name}."
        records[Record(owner.name, SRV, owner.ttl_s, data)] = None
        additional[address(name, target.ip, owner.ttl_s)] = None
    return Found(tuple(records), tuple(additional))


def address(name: str, ip: str, ttl_s: int) -> Record:
    return Record(name, AAAA if ":" in ip else A, ttl_s, ip)


def reverse_name(ip: str) -> str:
    """`4.3.2.10.in-addr.arpa`, `….ip6.arpa`: the name that stands for an address (RFC 1035, 3596)."""
    return ip_address(ip).reverse_pointer


def reversed_address(name: str) -> str:
    """The address that a whole name of `in-addr.arpa` or `ip6.arpa` stands for; "" for any other name."""
    labels = name.split(".")
    text = ""
    if name.endswith(".in-addr.arpa") and len(labels) == 6:
        text = ".".join(reversed(labels[:4]))
    elif name.endswith(".ip6.arpa") and len(labels) == 34 and all(map(_is_nibble, labels[:32])):
        digits = "".join(reversed(labels[:32]))
        text = ":".join(digits[at : at + 4] for at in range(0, 32, 4))
    return canonical(text)


def _is_nibble(label: str) -> bool:
    return len(label) == 1 and label in "0123456789abcdef"
