"""A resolver that asks as a pod's libc asks, and shows every query it made.

`python -m testbed.dns.client --resolv-conf FILE NAME -o json`, run inside the pod's network
namespace.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from testbed.clock import now_s
from testbed.dns.framing import Unframer, framed
from testbed.dns.search import ResolvConf, candidates, parse_resolv_conf
from testbed.dns.wire import (
    AAAA,
    NOERROR,
    NXDOMAIN,
    PTR,
    SERVFAIL,
    A,
    Record,
    Response,
    WireError,
    decode_response,
    encode_name,
    encode_query,
    rcode_text,
    type_number,
    type_text,
)
from testbed.errors import UsageError

ADDRESSES = (A, AAAA)
DNS_PORT = 53
TIMEOUT, UNREACHABLE = "TIMEOUT", "UNREACHABLE"
"""Shown in the place of an rcode where no answer came: silence, or an ICMP error."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One query and what became of it; `ms` runs from sending to the answer, or to giving up."""

    name: str
    type: str
    rcode: str
    server: str
    ms: float


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a name resolved to: nothing where `answers` holds no record of `types`."""

    name: str
    answers: tuple[Record, ...]
    queries: tuple[Asked, ...]
    types: tuple[int, ...] = ADDRESSES

    @property
    def resolved(self) -> bool:
        return any(record.type in self.types for record in self.answers)

    def to_json(self) -> dict[str, Any]:
        """What `testbed resolve -o json` prints."""
        answers = [asdict(record) | {"type": type_text(record.type)} for record in self.answers]
        queries = [asdict(query) for query in self.queries]
        return {"name": self.name, "answers": answers, "queries": queries}


def resolve(
    name: str, conf: ResolvConf, port: int = DNS_PORT, types: tuple[int, ...] = ADDRESSES
) -> Resolution:
    """Resolve as glibc's getaddrinfo does: the search list, A and AAAA side by side from a socket. Other
    `types` as its res_search does; PTR of an address asks for the name that stands for it.

    A name that does not exist, has no such record or gets SERVFAIL leads on to the next of the search
    list; silence and every other rcode end it, but where the name as it was written comes first: the list
    follows in any case. Raises UsageError for a name that no packet can carry.
    """
    with suppress(ValueError):
        address = ip_address(name)
        if types == (PTR,):
            return replace(resolve(f"{address.reverse_pointer}.", conf, port, types), name=name)
        rtype = A if address.version == 4 else AAAA
        return Resolution(name, (Record(name, rtype, 0, str(address)),), (), types)
    sendable(name)
    queries: list[Asked] = []
    for place, candidate in enumerate(candidates(name, conf)):
        try:
            encode_name(candidate)
        except WireError:  # too long with this domain behind it
            continue
        as_written = place == 0 and candidate == name
        responses = _ask(candidate, types, conf, port, queries)
        records = (record for response in responses if response for record in response.answers)
        found = Resolution(name, tuple(dict.fromkeys(records)), tuple(queries), types)
        if found.resolved or not (as_written or all(map(_leads_on, responses))):
            return found
    return Resolution(name, (), tuple(queries), types)


def type_asked_for(text: str) -> tuple[int, ...]:
    """The types that `--type` means. Raises UsageError."""
    try:
        return (type_number(text),)
    except WireError as error:
        hint = "write A, AAAA, SRV, PTR, TXT, CNAME, NS, SOA, or a number as in TYPE65"
        raise UsageError(str(error), hint) from error


def sendable(name: str) -> None:
    """Raises UsageError for a name that no packet can carry, or that nobody can have meant."""
    if not name or any(map(str.isspace, name)):
        raise UsageError(f"{name!r} is no name to ask for", "write it like web or web.default.svc")
    try:
        encode_name(name)
    except WireError as error:
        raise UsageError(str(error)) from error


def _leads_on(response: Response | None) -> bool:
    return response is not None and response.rcode in (NOERROR, NXDOMAIN, SERVFAIL)


def _ask(
    name: str, types: Sequence[int], conf: ResolvConf, port: int, queries: list[Asked]
) -> list[Response | None]:
    """Ask until a server says yes or no to each type; None: no answer at all."""
    latest: dict[int, Response | None] = dict.fromkeys(types)
    for _ in range(conf.attempts):
        for server in conf.nameservers:
            open_types = [rtype for rtype, response in latest.items() if not _settled(response)]
            exchange = _Exchange((server, port), name, open_types)
            exchange.run(conf.timeout_s)
            queries += exchange.rows()
            latest |= exchange.responses
            if all(map(_settled, latest.values())):
                return list(latest.values())
    return list(latest.values())


def _settled(response: Response | None) -> bool:
    return response is not None and response.rcode in (NOERROR, NXDOMAIN)


class _Exchange:
    """Some queries sent to one server at once, and their answers."""

    def __init__(self, server: tuple[str, int], name: str, types: Sequence[int]) -> None:
        self.responses: dict[int, Response] = {}
        self._server = server
        self._name = name
        self._idents = {random.randrange(1 << 16): rtype for rtype in types}
        while len(self._idents) < len(types):  # two alike, once in 65,536
            self._idents = {random.randrange(1 << 16): rtype for rtype in types}
        self._took_s: dict[int, float] = {}
        self._silence = TIMEOUT

    def run(self, timeout_s: float) -> None:
        """Send and wait until every query is answered or the time is over."""
        started_s = now_s()
        deadline_s = started_s + timeout_s
        family = socket.AF_INET6 if ":" in self._server[0] else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            try:
                sock.connect(self._server)
                for ident, rtype in self._idents.items():
                    sock.send(encode_query(ident, self._name, rtype))
                while len(self.responses) < len(self._idents):
                    sock.settimeout(max(deadline_s - now_s(), 1e-6))
                    self._take(sock.recv(0xFFFF), started_s, deadline_s)
            except TimeoutError:
                pass
            except OSError:  # an ICMP error, or no route
                self._silence = UNREACHABLE
        for rtype in self._idents.values():
            self._took_s.setdefault(rtype, now_s() - started_s)

    def rows(self) -> list[Asked]:
        """Every query of the exchange, in the order in which they were sent."""
        return [
            Asked(
                name=self._name,
                type=type_text(rtype),
                rcode=self._rcode(rtype),
                server=self._server[0],
                ms=round(self._took_s[rtype] * 1e3, 3),
            )
            for rtype in self._idents.values()
        ]

    def _rcode(self, rtype: int) -> str:
        response = self.responses.get(rtype)
        return self._silence if response is None else rcode_text(response.rcode)

    def _take(self, packet: bytes, started_s: float, deadline_s: float) -> None:
        try:
            response = decode_response(packet)
            if self._is_wanted(response) and response.truncated:
                response = self._over_tcp(response.ident, deadline_s)
        except WireError:
            return
        if self._is_wanted(response):
            rtype = self._idents[response.ident]
            self.responses[rtype] = response
            self._took_s[rtype] = now_s() - started_s

    def _is_wanted(self, response: Response) -> bool:
        """Whether this answers a question of ours (RFC 5452 section 9.1)."""
        question = response.question
        return (
            question is not None
            and self._idents.get(response.ident) == question.type
            and question.name.lower() == self._name.rstrip(".").lower()
        )

    def _over_tcp(self, ident: int, deadline_s: float) -> Response:
        """The same question in a stream. Raises OSError, or WireError for what is no answer."""
        packets: list[bytes] = []
        unframer = Unframer()
        query = encode_query(ident, self._name, self._idents[ident])
        patience_s = max(deadline_s - now_s(), 1e-6)
        with socket.create_connection(self._server, timeout=patience_s) as sock:
            sock.sendall(framed(query))
            while not packets:
                sock.settimeout(max(deadline_s - now_s(), 1e-6))
                data = sock.recv(0xFFFF)
                if not data:
                    raise ConnectionResetError("the server closed before its answer was whole")
                packets = unframer.feed(data)
        return decode_response(packets[0])


def main(argv: Sequence[str] | None = None) -> int:
    """Print the resolution as JSON; 0: resolved, 1: not, 2: no name that could be asked for."""
    parser = argparse.ArgumentParser(prog="python -m testbed.dns.client", description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--resolv-conf", type=Path, default=Path("/etc/resolv.conf"))
    parser.add_argument("--port", type=int, default=DNS_PORT)
    parser.add_argument("--type", default="", help="of the records; without: A and AAAA")
    parser.add_argument("-o", "--output", choices=("json",), default="json")
    args = parser.parse_args(argv)
    try:
        conf = parse_resolv_conf(args.resolv_conf.read_text())
        types = type_asked_for(args.type) if args.type else ADDRESSES
        resolution = resolve(args.name, conf, args.port, types)
    except (UsageError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return UsageError.exit_code
    print(json.dumps(resolution.to_json()))
    return 0 if resolution.resolved else 1


if __name__ == "__main__":
    sys.exit(main())
