"""What load to make: a frozen value that travels as JSON, and the URL it aims at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs, urlsplit

from testbed.errors import UsageError

_DEFAULT_PORTS = {"http": 80, "tcp": 0, "udp": 0}  # 0: must be written
ARRIVALS = ("poisson", "constant")
CLOSE = ("fin", "rst")
RESOLVE = ("each", "ttl", "once")


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart: `request` is the path of HTTP, or the line that TCP and UDP send."""

    protocol: str
    """http, tcp or udp."""
    host: str
    port: int
    request: str
    authority: str
    """Host and port as written: HTTP's Host field."""

    @property
    def address(self) -> str | None:
        """The host where it is an IP address; None: a name, to be resolved."""
        try:
            return str(ip_address(self.host))
        except ValueError:
            return None


def parse_url(url: str) -> Target:
    """`http://web/hostname`, `tcp://10.96.0.3:80`, `http://[fd00::7]`, `udp://web:80/echo?msg=hi`.
    Raises UsageError.

    For tcp and udp the path is the command that the echo server answers, `hostname` where it is
    left out.
    """
    hint = "write http://web/hostname, tcp://web:80 or udp://10.96.0.10:53"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{url!r} is not a URL: {error}", hint) from error
    if parts.scheme not in _DEFAULT_PORTS:
        raise UsageError(f"{url!r}: the scheme must be http, tcp or udp", hint)
    if not parts.hostname or parts.username is not None:
        raise UsageError(f"{url!r} names no host", hint)
    port = port or _DEFAULT_PORTS[parts.scheme]
    if not port:
        raise UsageError(f"{url!r} needs a port", hint)
    if not url.isascii() or any(char.isspace() for char in url):
        raise UsageError(f"{url!r} has a character that must be %-encoded", hint)
    if parts.scheme == "http":
        request = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    else:
        message = parse_qs(parts.query).get("msg", [""])[0]
        request = f"{parts.path.strip('/') or 'hostname'} {message}".strip()
    return Target(parts.scheme, parts.hostname, port, request, parts.netloc)


@dataclass(frozen=True, slots=True)
class LoadSpec:
    """One stream of requests from one place.

    With `rate_rps` the loop is open: a request starts when its time has come, whatever became of
    the others. Without it the loop is closed: `connections` clients, each starts when its last
    request has ended. A connection carries `reuse` requests; one without an answer ends it, unless it
    is a UDP socket. In an open loop `connections` is how
    many are opened before any is used again (never a limit). Raises UsageError.
    """

    source: str
    """Where the requests come from: a pod, node or outside host."""
    url: str
    rate_rps: float | None = None
    arrivals: str = "poisson"
    connections: int = 0
    duration_s: float = 10.0
    """From the first request to the last; the warm-up is part of it."""
    reuse: int = 1
    timeout_s: float = 5.0
    """From a request's start, name resolution and handshake included."""
    seed: int = 0
    close: str = "fin"
    """How the client ends a connection: `fin`, or `rst` (no TIME_WAIT)."""
    label: str = ""
    resolve: str = "each"
    """Names: for `each` new connection, again when the answer's `ttl` is over, or `once`."""
    warmup_s: float = 0.0
    """Cut from the summary's latency; every request is recorded."""
    drain_s: float = 0.1
    """What has been sent is given this long at the end, before it counts as censored."""
    cpu: int | None = None
    source_addresses: tuple[str, ...] = ()
    """Addresses of the source to connect from, in turn; empty: the kernel's choice."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "source_addresses", tuple(self.source_addresses))
        problem = next(filter(None, _problems(self)), None)
        if problem:
            raise UsageError(problem)
        parse_url(self.url)

    @property
    def open_loop(self) -> bool:
        return self.rate_rps is not None

    @property
    def target(self) -> Target:
        return parse_url(self.url)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self) | {"source_addresses": list(self.source_addresses)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LoadSpec:
        """The spec that `to_json` wrote. Raises UsageError."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(data) - known)
        if unknown:
            raise UsageError(f"a load has no {unknown[0]!r}", f"it has {', '.join(sorted(known))}")
        missing = sorted({"source", "url"} - set(data))
        if missing:
            raise UsageError(f"a load needs {missing[0]!r}")
        try:
            return cls(**data)
        except TypeError as error:
            raise UsageError(f"not a load: {error}") from error


def _problems(spec: LoadSpec) -> tuple[str | None, ...]:
    """One sentence for each field that cannot be."""

    def one_of(name: str, value: str, known: tuple[str, ...]) -> str | None:
        return None if value in known else f"{name} is {value!r}, not one of {', '.join(known)}"

    def above_zero(name: str, value: float | None) -> str | None:
        fine = value is None or 0 < value < float("inf")
        return None if fine else f"{name} must be above 0, not {value}"

    return (
        one_of("arrivals", spec.arrivals, ARRIVALS),
        one_of("close", spec.close, CLOSE),
        one_of("resolve", spec.resolve, RESOLVE),
        above_zero("the rate", spec.rate_rps),
        above_zero("the duration", spec.duration_s),
        above_zero("the timeout", spec.timeout_s),
        None if spec.reuse >= 1 else f"reuse must be at least 1, not {spec.reuse}",
        None if spec.connections >= 0 else "connections must not be negative",
        None
        if spec.open_loop or spec.connections
        else "a load needs a rate (open loop) or a number of connections (closed loop)",
        None
        if 0 <= spec.warmup_s < spec.duration_s
        else f"a warm-up of {spec.warmup_s} s leaves nothing of {spec.duration_s} s",
        None if spec.drain_s >= 0 else "drain must not be negative",
    )
