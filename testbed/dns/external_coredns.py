"""CoreDNS in a DNS pod: it watches the cluster's API by itself, by its plug-in `kubernetes`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from testbed.dns.external import Place, Step
from testbed.dns.zone_listing import Records

CONFIG, RESOLV_CONF = "Corefile", "resolv.conf"
"""Files in its folder."""


@dataclass(frozen=True, slots=True)
class CoreDNS:
    """In one pod (a `Program`)."""

    place: Place
    kubeconfig: str
    """Path of the file that lets it in."""
    corefile: str
    """That of a CoreDNS in the cluster."""

    @property
    def says_when(self) -> bool:
        return False

    @property
    def argv(self) -> tuple[str, ...]:
        return ("coredns", "-conf", f"{self.place.folder}/{CONFIG}")

    def files(self, records: Records) -> Mapping[str, str]:
        servers = "".join(f"nameserver {server}\n" for server in self.place.upstream)
        return {CONFIG: self._corefile(), RESOLV_CONF: servers}

    def update(self, before: Records, records: Records) -> Step:
        """It knows already."""
        return Step()

    def has_read(self, line: str) -> bool:
        return False

    def _corefile(self) -> str:
        """The one that it would have in a cluster, but for how it comes to the API, and its own
        resolv.conf: it sees the host's files.
        """
        text = self.corefile.replace("/etc/resolv.conf", f"{self.place.folder}/{RESOLV_CONF}")
        return "".join(self._let_in(line) for line in text.splitlines(keepends=True))

    def _let_in(self, line: str) -> str:
        """The first line of the plug-in's block, with the kubeconfig behind it."""
        words = line.split()
        if not words or words[0] != "kubernetes":
            return line
        indent = line[: len(line) - len(line.lstrip())]
        allowed = f"{indent}    kubeconfig {self.kubeconfig}\n"
        if words[-1] == "{":
            return line + allowed
        return f"{line.rstrip()} {{\n{allowed}{indent}}}\n"
