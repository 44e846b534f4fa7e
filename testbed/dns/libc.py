"""How a C library looks a name up: which queries, from which socket, and what it does where no answer comes.

Each library is a generator without sockets or clock: it yields what to send and until when to wait, and is sent
what came. glibc as of 2.31 (resolv/res_send.c, res_query.c), musl as of 1.2.4 (src/network/res_msend.c,
lookup_name.c). Answers that are truncated are taken as they are: nobody asks again over TCP here.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field

from testbed.dns.search import ResolvConf, candidates
from testbed.dns.wire import (
    AAAA,
    NOERROR,
    NXDOMAIN,
    SERVFAIL,
    A,
    Response,
    WireError,
    decode_response,
    encode_query,
)

OK, NO_SUCH_NAME, NO_ADDRESS, AGAIN = "ok", "no-such-name", "no-address", "try-again"
"""What getaddrinfo says: addresses, EAI_NONAME, EAI_NODATA; EAI_AGAIN for silence and servers in trouble."""


@dataclass(frozen=True, slots=True)
class Sending:
    """A packet, and which of the look-up's sockets it leaves by: a new number is a new socket."""

    socket: int
    server: str
    packet: bytes
    connected: bool
    """Whether the socket is connected to the server: only such a one hears ICMP errors."""


@dataclass(frozen=True, slots=True)
class Step:
    """What to send now; then hand in what comes until `until_s`, and the instant itself."""

    sendings: tuple[Sending, ...]
    until_s: float


@dataclass(frozen=True, slots=True)
class Came:
    """What happened at `now_s`: a packet, an ICMP error on the socket (`refused`), or nothing in time."""

    now_s: float
    packet: bytes = b""
    refused: bool = False


@dataclass(frozen=True, slots=True)
class LookedUp:
    """What became of a name: `sent` queries in `rounds`, one round being what was sent at once."""

    outcome: str
    addresses: tuple[str, ...]
    sent: int
    rounds: int


Steps = Generator[Step, Came, LookedUp]
Idents = Callable[[], int]
"""A new query's number: random, so that nobody else's answer is taken for one's own."""
Library = Callable[[str, ResolvConf, Idents, float], Steps]
"""Looks a name up; the last argument is the time now. Raises WireError for what no query can carry."""


@dataclass(slots=True)
class _Asking:
    """The queries of one look-up."""

    conf: ResolvConf
    idents: Idents
    now_s: float
    connected: bool
    sent: int = 0
    rounds: int = 0
    sockets: int = 0
    waiting: dict[int, int] = field(default_factory=dict)
    """Type of the query by its number."""
    responses: dict[int, Response] = field(default_factory=dict)
    """By type, of the name that is being asked for."""

    def new_socket(self) -> int:
        self.sockets += 1
        return self.sockets

    def query(self, name: str, rtype: int) -> bytes:
        """A new query, whose answer is waited for from now on."""
        ident = self.idents()
        while ident in self.waiting:
            ident = self.idents()
        self.waiting[ident] = rtype
        return encode_query(ident, name, rtype)

    def send(
        self, packets: Iterable[bytes], servers: Iterable[str], socket: int
    ) -> tuple[Sending, ...]:
        """Each packet to each server, as one round."""
        packets = tuple(packets)
        found = tuple(
            Sending(socket, server, packet, self.connected)
            for server in servers
            for packet in packets
        )
        self.sent += len(found)
        self.rounds += 1
        return found

    def fits(self, packet: bytes) -> Response | None:
        """The answer in a packet, where it is one to a query that waits."""
        try:
            response = decode_response(packet)
        except WireError:
            return None
        asked, rtype = response.question, self.waiting.get(response.ident)
        return response if asked is not None and asked.type == rtype else None

    def keep(self, response: Response) -> None:
        self.responses[self.waiting.pop(response.ident)] = response

    def forget(self) -> None:
        """What has been asked so far is not waited for any more."""
        self.waiting.clear()
        self.responses.clear()

    def addresses(self) -> tuple[str, ...]:
        records = (record for one in self.responses.values() for record in one.answers)
        return tuple(dict.fromkeys(one.data for one in records if one.type in (A, AAAA)))

    def ended(self, outcome: str) -> LookedUp:
        return LookedUp(outcome, self.addresses() if outcome == OK else (), self.sent, self.rounds)


_SILENT, _TROUBLE, _REFUSED = "silent", "trouble", "refused"
"""Of a server, beside what it says of a name: no answer; SERVFAIL, REFUSED or NOTIMP; an ICMP error."""
_PARALLEL, _SINGLE, _REOPEN = range(3)
"""How A and AAAA are asked for: at once, one after the other, the second from another socket."""


@dataclass(frozen=True, slots=True)
class Glibc:
    """glibc's getaddrinfo: A and AAAA at once from one socket, server by server.

    The fields are options of resolv.conf; `rotate` begins with another server each time.
    """

    single_request: bool = False
    single_request_reopen: bool = False
    rotate: bool = False

    def __call__(self, name: str, conf: ResolvConf, idents: Idents, now_s: float) -> Steps:
        asking = _Asking(conf, idents, now_s, connected=True)
        shift = idents() if self.rotate else 0
        seen = set()
        for number, candidate in enumerate(_sendable(candidates(name, conf))):
            at = (shift + number) % len(conf.nameservers) if self.rotate else 0
            servers = conf.nameservers[at:] + conf.nameservers[:at]
            said = yield from self._all_attempts(asking, candidate, servers)
            if said == OK:
                return asking.ended(OK)
            seen.add(said)
            # The name as it is written, where it comes first, is followed by the search list in any case.
            as_written = number == 0 and candidate == name
            if said == _REFUSED or (said == _SILENT and not as_written):
                return asking.ended(AGAIN)
        if NO_ADDRESS in seen:
            return asking.ended(NO_ADDRESS)
        return asking.ended(AGAIN if seen & {_TROUBLE, _SILENT} else NO_SUCH_NAME)

    def _all_attempts(
        self, asking: _Asking, name: str, servers: tuple[str, ...]
    ) -> Generator[Step, Came, str]:
        """What the first server that knows says of a name; else the worst that happened."""
        sockets: dict[str, int] = {}
        met = {_REFUSED}
        for _ in range(asking.conf.attempts):
            for number, server in enumerate(servers):
                # A socket outlives a query that nobody answered: the next attempt leaves by the same port.
                if server not in sockets:
                    sockets[server] = asking.new_socket()
                wait_s = _glibc_timeout_s(asking.conf, number)
                said = yield from self._ask(asking, name, (server, sockets[server]), wait_s)
                if said in (OK, NO_SUCH_NAME, NO_ADDRESS):
                    return said
                met.add(said)
                if said != _SILENT:
                    del sockets[server]
        return next(one for one in (_TROUBLE, _SILENT, _REFUSED) if one in met)

    def _ask(
        self, asking: _Asking, name: str, where: tuple[str, int], wait_s: float
    ) -> Generator[Step, Came, str]:
        """One server, once: where it answers one of two queries only, it is asked one by one."""
        first = _REOPEN if self.single_request_reopen else self.single_request
        for way in range(first, _REOPEN + 1):
            asking.forget()
            server, socket = where
            if way == _REOPEN and way != first:
                socket = asking.new_socket()
            said = yield from self._exchange(asking, name, (server, socket), (way, wait_s))
            if said != _SILENT or not asking.responses:
                return said
        return _verdict(asking)

    def _exchange(
        self,
        asking: _Asking,
        name: str,
        where: tuple[str, int],
        how: tuple[int, float],
    ) -> Generator[Step, Came, str]:
        server, socket = where
        way, wait_s = how
        until_s = asking.now_s + wait_s
        for types in ((A, AAAA),) if way == _PARALLEL else ((A,), (AAAA,)):
            if way == _REOPEN and types == (AAAA,):
                socket = asking.new_socket()
            packets = [asking.query(name, rtype) for rtype in types]
            sendings = asking.send(packets, (server,), socket)
            while asking.waiting:
                came = yield Step(sendings, until_s)
                sendings, asking.now_s = (), came.now_s
                if came.refused:
                    return _REFUSED
                if not came.packet and came.now_s >= until_s:
                    return _SILENT
                response = asking.fits(came.packet)
                if response is None:
                    continue
                if response.rcode not in (NOERROR, NXDOMAIN):
                    return _TROUBLE
                asking.keep(response)
        return _verdict(asking)


def _glibc_timeout_s(conf: ResolvConf, number: int) -> float:
    """Of the server in that place, in whole seconds: later ones are waited for longer."""
    seconds = int(conf.timeout_s) << number
    if number:
        seconds //= len(conf.nameservers)
    return float(max(seconds, 1))


def musl(name: str, conf: ResolvConf, idents: Idents, now_s: float) -> Steps:
    """musl's getaddrinfo: A and AAAA to all servers at once, the first answer counts.

    The timeout is for all attempts together. A name with `ndots` dots is asked for as it is and not
    searched for; a name that exists without an address ends the search.
    """
    asking = _Asking(conf, idents, now_s, connected=False)
    for candidate in _sendable(musl_candidates(name, conf)):
        asking.forget()
        yield from _musl_ask(asking, candidate)
        if len(asking.responses) < 2:
            return asking.ended(AGAIN)
        said = _verdict(asking)
        if said == OK or all(one.rcode == NOERROR for one in asking.responses.values()):
            return asking.ended(said)
    return asking.ended(NO_SUCH_NAME)


def musl_candidates(name: str, conf: ResolvConf) -> tuple[str, ...]:
    """Absolute names in musl's order: with `ndots` dots or a final one only the name itself."""
    bare = name.removesuffix(".")
    if bare != name or name.count(".") >= conf.ndots:
        return (bare,)
    return (*(f"{name}.{domain}" for domain in conf.search), name)


def _musl_ask(asking: _Asking, name: str) -> Generator[Step, Came, None]:
    """Until both types are answered: other answers than yes and no are no answers, SERVFAIL is asked again."""
    conf, socket = asking.conf, asking.new_socket()
    packets = {packet[:2]: packet for packet in (asking.query(name, A), asking.query(name, AAAA))}
    end_s = asking.now_s + conf.timeout_s
    retries = 2 * len(packets)
    sendings: tuple[Sending, ...] = ()
    again_s = asking.now_s
    while asking.waiting and asking.now_s < end_s:
        if asking.now_s >= again_s:
            again_s = asking.now_s + conf.timeout_s / conf.attempts
            unanswered = [packets[ident.to_bytes(2, "big")] for ident in asking.waiting]
            sendings = asking.send(unanswered, conf.nameservers, socket)
        came = yield Step(sendings, min(again_s, end_s))
        sendings, asking.now_s = (), came.now_s
        response = asking.fits(came.packet)
        if response is None:
            continue
        if response.rcode in (NOERROR, NXDOMAIN):
            asking.keep(response)
        elif response.rcode == SERVFAIL and retries:
            retries -= 1
            packet = packets[response.ident.to_bytes(2, "big")]
            sendings = asking.send((packet,), conf.nameservers[:1], socket)


def _verdict(asking: _Asking) -> str:
    if asking.addresses():
        return OK
    rcodes = {one.rcode for one in asking.responses.values()}
    return NO_SUCH_NAME if rcodes == {NXDOMAIN} else NO_ADDRESS


def _sendable(names: Iterable[str]) -> Iterator[str]:
    """Those that a packet can carry: with some domain behind it a name may be too long.

    Raises WireError where none can be sent.
    """
    problem: WireError | None = None
    sendable = False
    for name in names:
        try:
            encode_query(0, name, A)
        except WireError as error:
            problem = error
            continue
        sendable = True
        yield name
    if problem is not None and not sendable:
        raise problem


LIBRARIES: dict[str, Library] = {
    "glibc": Glibc(),
    "glibc/single-request": Glibc(single_request=True),
    "glibc/single-request-reopen": Glibc(single_request=True, single_request_reopen=True),
    "glibc/rotate": Glibc(rotate=True),
    "musl": musl,
}
"""By name; what follows the slash is an option of resolv.conf that musl does not know."""
