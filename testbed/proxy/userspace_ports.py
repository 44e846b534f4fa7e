"""Where the userspace proxy listens for each service port: a function of the set of names.

kube-proxy drew these ports at random (`--proxy-port-range`). Here equal states must give equal rules, so
a name's digest says where it listens, and names that meet step aside in the order of their names.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256

from testbed.errors import OutOfTimeOrRoom

FIRST_PORT, LAST_PORT = 10_000, 29_999
"""Below the node ports and the kernel's ephemeral ports, above what servers are usually given."""
_PORTS = LAST_PORT - FIRST_PORT + 1


def listen_ports(names: Iterable[str]) -> dict[str, int]:
    """A port of its own for each name of one protocol. Raises OutOfTimeOrRoom for too many names."""
    ordered = sorted(set(names))
    if len(ordered) > _PORTS // 2:
        raise OutOfTimeOrRoom(
            f"{len(ordered)} service ports of one protocol, and a port for each of {_PORTS // 2}",
            "the userspace proxy listens on a port per service port; use another proxy.mode",
        )
    taken: dict[int, str] = {}
    for name in ordered:
        # A name that finds its port taken tries one of its own next: it never pushes a third one on.
        attempt = 0
        while (port := _drawn(name, attempt)) in taken:
            attempt += 1
        taken[port] = name
    return {name: port for port, name in taken.items()}


@lru_cache(maxsize=1 << 16)
def _drawn(name: str, attempt: int) -> int:
    digest = sha256(f"{attempt} {name}".encode()).digest()
    return FIRST_PORT + int.from_bytes(digest[:8], "big") % _PORTS
