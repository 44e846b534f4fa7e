"""From one HAProxy configuration to another: what its runtime API is told, or that it must be loaded anew.

Source: HAProxy 2.6 management guide, 9.3 (Unix Socket commands).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from testbed.edge.haproxy_text import (
    CERTIFICATES,
    CertificateUse,
    Configuration,
    Pool,
    Server,
    server_name,
    use_line,
)


@dataclass(frozen=True, slots=True)
class Said:
    """One command of the runtime API."""

    command: str
    expect: str = r"\s*"
    """A pattern of its whole answer where it was done."""
    payload: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """`why`: what makes it a reload ("": nothing does)."""

    commands: tuple[Said, ...] = ()
    why: str = ""


def change(have: Configuration, want: Configuration) -> Change:
    """What makes an HAProxy that has one configuration have another. Equal ones: nothing."""
    if why := _reason_to_reload(have, want):
        return Change(why=why)
    # What is pointed at comes before what points to it, and goes after it.
    return Change(
        (
            *_certificates(have, want),
            *_servers(have.pools, want.pools),
            *_uses(have.uses, want.uses),
            *(
                said
                for name in want.maps
                for said in _map(name, have.maps.get(name, {}), want.maps[name])
            ),
            *_certificates_gone(have, want),
        )
    )


def _reason_to_reload(have: Configuration, want: Configuration) -> str:
    if have.sections != want.sections:
        return "another configuration"
    if have.maps.keys() != want.maps.keys():
        return "other maps"
    if bool(have.uses) != bool(want.uses):
        return "certificates where there were none" if want.uses else "no certificates any more"
    before = {pool.name: _fixed(pool) for pool in have.pools}
    after = {pool.name: _fixed(pool) for pool in want.pools}
    for word, names in (
        ("new backend", after.keys() - before.keys()),
        ("backend gone", before.keys() - after.keys()),
        ("backend changed", {name for name in after if before.get(name) != after[name]}),
    ):
        if names:
            return f"{word} {', '.join(sorted(names))}"
    return ""


def _fixed(pool: Pool) -> tuple[Pool, int]:
    """What of a pool no command changes: its lines, and how many slots it has."""
    return replace(pool, servers=()), len(pool.servers)


def _servers(have: tuple[Pool, ...], want: tuple[Pool, ...]) -> Iterator[Said]:
    before = {pool.name: pool.servers for pool in have}
    for pool in want:
        for slot, (old, new) in enumerate(zip(before[pool.name], pool.servers, strict=True)):
            yield from _server(f"{pool.name}/{server_name(slot)}", old, new)


def _server(name: str, old: Server, new: Server) -> Iterator[Said]:
    moved = new.state != "maint" and (old.address, old.port) != (new.address, new.port)
    if moved and old.state != "maint":
        yield Said(f"set server {name} state maint")
    if moved:
        expect = r"(?s).*(changed from|no need to change).*"
        yield Said(f"set server {name} addr {new.address} port {new.port}", expect)
    if moved or old.state != new.state:
        yield Said(f"set server {name} state {new.state}")


def _map(name: str, have: Mapping[str, str], want: Mapping[str, str]) -> Iterator[Said]:
    for key in sorted(want):
        if key not in have:
            yield Said(f"add map {name} {_escaped(key)} {_escaped(want[key])}")
        elif have[key] != want[key]:
            yield Said(f"set map {name} {_escaped(key)} {_escaped(want[key])}")
    for key in sorted(have.keys() - want.keys()):
        yield Said(f"del map {name} {_escaped(key)}")


def _certificates(have: Configuration, want: Configuration) -> Iterator[Said]:
    for name, pem in sorted(want.certificates.items()):
        if have.certificates.get(name) == pem:
            continue
        if name not in have.certificates:
            yield Said(f"new ssl cert {name}", r"(?s)New empty certificate store.*")
        yield Said(f"set ssl cert {name}", r"(?s)Transaction (created|updated).*", pem)
        yield Said(f"commit ssl cert {name}", r"(?s).*Success!\s*")


def _certificates_gone(have: Configuration, want: Configuration) -> Iterator[Said]:
    for name in sorted(have.certificates.keys() - want.certificates.keys()):
        yield Said(f"del ssl cert {name}", r"(?s).*deleted.*")


def _uses(have: tuple[CertificateUse, ...], want: tuple[CertificateUse, ...]) -> Iterator[Said]:
    """A file has one line. The old ones go last, so that no host is without for an instant."""
    for use in want:
        if use not in have:
            yield Said(f"add ssl crt-list {CERTIFICATES}", r"(?s).*Success!\s*", use_line(use))
    for use in have:
        if use not in want:
            yield Said(f"del ssl crt-list {CERTIFICATES} {use.file}", r"(?s).*deleted.*")


def _escaped(word: str) -> str:
    return "".join(f"\\{one}" if one in " \\;" else one for one in word)
