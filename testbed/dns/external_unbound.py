"""unbound in a DNS pod: the cluster's names are local data of a static zone.

Source: unbound.conf(5), unbound-control(8). A static zone answers NXDOMAIN and NODATA with its SOA, and knows
names that only have others below them. It does not follow a CNAME of its own; so an alias is a zone of type
`redirect`, and to look its target up unbound asks itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from testbed.command import Command
from testbed.dns.external import LOOPBACK, Place, Step, is_alias, is_followed, lines
from testbed.dns.zone_listing import Records

CONFIG, ZONE, CONTROL = "unbound.conf", "zone.conf", "ctl"
"""Files in its folder; CONTROL is a socket, whose path has to be short."""


@dataclass(frozen=True, slots=True)
class Unbound:
    """In one pod (a `Program`)."""

    place: Place

    @property
    def says_when(self) -> bool:
        return False

    @property
    def argv(self) -> tuple[str, ...]:
        """In the foreground; what it says goes to standard error."""
        return ("unbound", "-d", "-c", f"{self.place.folder}/{CONFIG}")

    def files(self, records: Records) -> Mapping[str, str]:
        return {CONFIG: _config(self.place), ZONE: _zone(self.place, records)}

    def update(self, before: Records, records: Records) -> Step:
        """What is new, and names that are no more, are data at run time. All else means to read its files
        again: a name that only loses records would not be there for a moment, and zones that come at run
        time make others unfindable (1.17). Queries wait meanwhile, and none is lost.
        """
        after = {name: records[name] for name in before if name in records}
        kept = {name: had for name, had in before.items() if had}
        if any(set(had) - set(after.get(name, had)) for name, had in kept.items()) or any(
            map(is_alias, (*before.values(), *after.values()))
        ):
            files = {ZONE: _zone(self.place, records)}
            return Step(files=files, commands=(self._control("reload"),))
        gone = [f"{name}." for name in sorted(kept) if name not in after]
        said = (("local_datas_remove", gone), ("local_datas", lines(after)))
        return Step(
            commands=tuple(
                self._control(verb, "".join(f"{text}\n" for text in texts))
                for verb, texts in said
                if texts
            )
        )

    def has_read(self, line: str) -> bool:
        """It gets no SIGHUP: its commands end when they are done."""
        return False

    def _control(self, verb: str, text: str = "") -> Command:
        return Command(("unbound-control", "-q", "-c", f"{self.place.folder}/{CONFIG}", verb), text)


def _config(place: Place) -> str:
    """As in a container: no user to become, no root to change into, no file of the host's."""
    server = [
        'username: ""',
        'chroot: ""',
        f'directory: "{place.folder}"',
        'pidfile: ""',
        "use-syslog: no",
        'logfile: ""',
        "do-daemonize: no",
        *(f"interface: {address}" for address in (*LOOPBACK, *place.listen)),
        "port: 53",
        "access-control: 0.0.0.0/0 allow",
        "access-control: ::0/0 allow",
        f"do-ip6: {_yes(any(':' in address for address in place.listen))}",
        "num-threads: 1",
        # There is no root to ask whether an answer is signed.
        'module-config: "iterator"',
        "do-not-query-localhost: no",
        "rrset-roundrobin: yes",
        # Names of tests are names of the lab's, too.
        'local-zone: "test." nodefault',
        f"include: {place.folder}/{ZONE}",
    ]
    forwards = [_forward(f"{place.domain}.", LOOPBACK, "forward-no-cache: yes")]
    if place.upstream:
        forwards.append(_forward(".", place.upstream))
    else:
        server.append('local-zone: "." refuse')
    control = [
        "control-enable: yes",
        f"control-interface: {place.folder}/{CONTROL}",
        "control-use-cert: no",
    ]
    sections = [("server", server), *(("forward-zone", one) for one in forwards)]
    return "".join(
        f"{name}:\n" + "".join(f"  {text}\n" for text in section)
        for name, section in (*sections, ("remote-control", control))
    )


def _zone(place: Place, records: Records) -> str:
    """The cluster's zone, and its data."""
    found = [f'local-zone: "{place.domain}." static']
    aliases = (name for name, those in sorted(records.items()) if is_followed(place, those))
    found += [f'local-zone: "{name}." redirect' for name in aliases]
    found += [f"local-data: '{text}'" for text in lines(records)]
    return "server:\n" + "".join(f"  {text}\n" for text in found)


def _forward(zone: str, servers: tuple[str, ...], *more: str) -> list[str]:
    return [f'name: "{zone}"', *(f"forward-addr: {server}" for server in servers), *more]


def _yes(whether: bool) -> str:
    return "yes" if whether else "no"
