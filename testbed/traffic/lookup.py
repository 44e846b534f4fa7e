"""A name on its way to an address, as a libc goes it: a state machine without sockets.

Each question is an A and an AAAA query from one socket (glibc, Go); the search list decides what is
asked next. The caller sends `packets`, hands in what comes back, and says when a wait is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from ipaddress import IPv6Address, IPv6Network
from itertools import product

from testbed.dns.search import ResolvConf, candidates
from testbed.dns.wire import AAAA, A, WireError, decode_response, encode_query
from testbed.ip import packed_as_ipv6

_NOERROR, _NXDOMAIN = 0, 3
_PRECEDENCE = (
    (IPv6Network("::1/128"), 50),
    (IPv6Network("::ffff:0:0/96"), 35),
    (IPv6Network("2002::/16"), 30),
    (IPv6Network("2001::/32"), 5),
    (IPv6Network("fc00::/7"), 3),
    (IPv6Network("::/0"), 40),
)
"""RFC 6724, section 2.1, longest prefix first; IPv4 addresses count as mapped ones."""


def preferred(addresses: Sequence[str]) -> str:
    """The address that a libc dials first: the first one of those with the highest precedence.

    A unique local IPv6 address (fc00::/7) comes after an IPv4 one, any other before it. Of RFC 6724 only
    the policy table decides here: a pod has one address of each family, and both reach all services.
    """
    return max(addresses, key=_precedence)


@cache
def _precedence(address: str) -> int:
    packed = IPv6Address(packed_as_ipv6(address))
    return next(value for network, value in _PRECEDENCE if packed in network)


class Lookup:
    """After each call `address` is set, or `failed`, or `packets` are to be sent to `server`.

    `ident` is the number of the first query, a random one. Raises WireError for a name that no
    query can carry.
    """

    def __init__(self, name: str, conf: ResolvConf, ident: int) -> None:
        self.address: str | None = None
        self.ttl_s = 0
        """How long the address may be kept: the shortest TTL of what led to it."""
        self.failed = False
        self.server = conf.nameservers[0]
        self.packets: tuple[bytes, ...] = ()
        self._ident = ident
        self._names = list(candidates(name, conf))
        self._tries = list(product(range(conf.attempts), conf.nameservers))
        self._try = 0
        self._waiting: dict[int, int] = {}
        self._found: list[str] = []
        self._ttls_s: list[int] = []
        self._ask()

    def receive(self, data: bytes) -> bool:
        """Take a packet; True: something has changed, look at the fields."""
        try:
            response = decode_response(data)
        except WireError:
            return False
        if self._waiting.pop(response.ident, None) is None:
            return False
        if response.rcode not in (_NOERROR, _NXDOMAIN):
            self.give_up_waiting()
            return True
        if response.answers:
            self._found += (one.data for one in response.answers if one.type in (A, AAAA))
            self._ttls_s += (one.ttl for one in response.answers)
        if self._waiting:
            return False
        if self._found:
            self.address = preferred(self._found)
            self.ttl_s = min(self._ttls_s)
        else:
            self._next_name()
        return True

    def give_up_waiting(self) -> None:
        """No answer, or a useless one: on to the next server, the next attempt, the next name."""
        self._try += 1
        if self._try < len(self._tries):
            self._ask()
        else:
            self._next_name()

    def _next_name(self) -> None:
        self._names.pop(0)
        self._try = 0
        if self._names:
            self._ask()
        else:
            self.failed = True

    def _ask(self) -> None:
        self.server = self._tries[self._try][1]
        idents = self._ident & 0xFFFF, self._ident + 1 & 0xFFFF
        self._ident += 2
        self._waiting = {idents[0]: A, idents[1]: AAAA}
        self._found, self._ttls_s = [], []
        self.packets = tuple(
            encode_query(ident, self._names[0], qtype) for ident, qtype in self._waiting.items()
        )
