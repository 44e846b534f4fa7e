"""HAProxy's configuration as values, and as the text that it reads.

Lines are in HAProxy's own language (its configuration manual, 2.6). What it can be told while it runs
(servers, maps, certificates) is kept apart from what it has to be started anew for: `edge.haproxy_change` finds
out which.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

CONFIG, ADMIN, MASTER = "haproxy.cfg", "admin", "master"
"""Files in its folder: its configuration, the sockets of its runtime API and of its master."""
CERTIFICATES = "certificates.list"
"""Its crt-list."""
STATES = ("ready", "drain", "maint")
State = Literal["ready", "drain", "maint"]
"""As the runtime API says: takes requests; takes no new ones; is not there."""


@dataclass(frozen=True, slots=True)
class Section:
    """`head` as in `frontend http`."""

    head: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Server:
    """What one slot of a pool stands for."""

    address: str
    port: int
    state: State = "ready"


FREE = Server("127.0.0.1", 1, "maint")
"""A slot that stands for nobody: an address it must have."""


@dataclass(frozen=True, slots=True)
class Pool:
    """A backend: its lines, then a server for each slot, s1, s2, …"""

    name: str
    lines: tuple[str, ...] = ()
    servers: tuple[Server, ...] = ()
    options: str = ""
    """Of every server, as in `check inter 2s`."""


@dataclass(frozen=True, slots=True)
class CertificateUse:
    """A line of the crt-list: what is served to whom. Without hosts: to those that no other line is for."""

    file: str
    hosts: tuple[str, ...] = ()
    options: str = ""
    """As in `alpn h2,http/1.1`."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """All that one HAProxy is told."""

    sections: tuple[Section, ...]
    pools: tuple[Pool, ...] = ()
    maps: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By the name of its file: key -> value."""
    certificates: Mapping[str, str] = field(default_factory=dict)
    """By the name of its file: a certificate with its chain, and its key (PEM)."""
    uses: tuple[CertificateUse, ...] = ()


def general(threads: int = 1, max_connections: int = 4096, *more: str) -> Section:
    """`global` of an HAProxy that runs as it is started, with no user to change to and no folder to be
    locked into, and hands its listening sockets to the one that takes over from it.
    """
    return Section(
        "global",
        (
            f"nbthread {threads}",
            f"maxconn {max_connections}",
            "log stderr format raw local0 notice",
            f"stats socket unix@{ADMIN} mode 600 level admin expose-fd listeners",
            "stats timeout 1h",
            *more,
        ),
    )


def files(configuration: Configuration) -> dict[str, str]:
    """Every file of its folder: name -> text."""
    found = {CONFIG: text(configuration), **configuration.certificates}
    for name, entries in configuration.maps.items():
        found[name] = "".join(f"{key} {value}\n" for key, value in sorted(entries.items()))
    if configuration.uses:
        found[CERTIFICATES] = "".join(f"{use_line(use)}\n" for use in configuration.uses)
    return found


def text(configuration: Configuration) -> str:
    """Its `haproxy.cfg`."""
    pools = (
        Section(f"backend {pool.name}", (*pool.lines, *_servers(pool)))
        for pool in configuration.pools
    )
    return "\n".join(_section(one) for one in (*configuration.sections, *pools))


def use_line(use: CertificateUse) -> str:
    """A line of the crt-list."""
    options = f" [{use.options}]" if use.options else ""
    return " ".join((use.file + options, *use.hosts))


def server_name(slot: int) -> str:
    """Of the slots of a pool, which count from 0."""
    return f"s{slot + 1}"


def endpoint(server: Server) -> str:
    """As HAProxy writes it: an IPv6 address in brackets."""
    address = f"[{server.address}]" if ":" in server.address else server.address
    return f"{address}:{server.port}"


def _servers(pool: Pool) -> Iterable[str]:
    """One that drains takes nothing new, and what it still has stays with the HAProxy before this one."""
    for slot, server in enumerate(pool.servers):
        words = [f"server {server_name(slot)} {endpoint(server)}", pool.options]
        words.append("" if server.state == "ready" else "disabled")
        yield " ".join(filter(None, words))


def _section(section: Section) -> str:
    return "".join((f"{section.head}\n", *(f"    {line}\n" for line in section.lines)))
