"""Services and their endpoints as DNS sees them: addresses and ports under a name, no records yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from itertools import chain

from testbed.ip import canonical
from testbed.model.objects.endpoint_slices import Endpoint, EndpointSlice
from testbed.model.objects.services import Service
from testbed.store import Key


@dataclass(frozen=True, slots=True)
class Target:
    """An address with a port, as a service or one of its endpoints has it."""

    host: str
    """The endpoint's own name under its service, in lower case; "" for the service itself."""
    ip: str
    port_name: str
    protocol: str
    """In lower case."""
    port: int
    """0: it declares none."""


class Publishing(Enum):
    """Which endpoints of a service have names."""

    NONE = "it is not there, or has an external name"
    READY = "those that are ready"
    ALL = "publishNotReadyAddresses"

    @classmethod
    def of(cls, service: Service | None) -> Publishing:
        if service is None or service.type == "ExternalName":
            return cls.NONE
        return cls.ALL if service.publish_not_ready_addresses else cls.READY


@dataclass(frozen=True)  # without slots: what is found out of it once is kept in it
class Part:
    """An endpoint slice, and what its service publishes of it."""

    slice: EndpointSlice
    publishing: Publishing
    pod_names: bool

    @cached_property
    def targets(self) -> tuple[Target, ...]:
        """Published endpoints x ports."""
        if self.publishing is Publishing.NONE or self.slice.address_type == "FQDN":
            return ()
        ports = [(one.name.lower(), one.protocol.lower(), one.port) for one in self.slice.ports]
        return tuple(
            Target(self._host(endpoint, ip), ip, *port)
            for endpoint in self.slice.endpoints
            if endpoint.ready or self.publishing is Publishing.ALL
            for ip in map(canonical, endpoint.addresses)
            for port in ports or [("", "", 0)]
        )

    @cached_property
    def hosts(self) -> dict[str, dict[str, None]]:
        """The endpoints' own names, by their addresses."""
        found: dict[str, dict[str, None]] = {}
        for target in self.targets:
            found.setdefault(target.ip, {})[target.host] = None
        return found

    def _host(self, endpoint: Endpoint, ip: str) -> str:
        """Its hostname, else its pod's name where that is asked for, else its address with dashes."""
        if endpoint.hostname:
            return endpoint.hostname.lower()
        if self.pod_names and endpoint.target is not None:
            return endpoint.target.name
        return dashed(ip)


@dataclass(frozen=True)
class Published:
    """A service with its endpoint slices, by their names; None: there are only slices in its name."""

    key: Key
    service: Service | None
    parts: tuple[Part, ...] = ()

    @cached_property
    def endpoints(self) -> dict[str, list[Target]]:
        """By their own names under the service."""
        found: dict[str, list[Target]] = {}
        for target in self._of_endpoints():
            found.setdefault(target.host, []).append(target)
        return found

    @cached_property
    def targets(self) -> tuple[Target, ...]:
        """What the service's own name stands for: cluster addresses, or endpoints where it is headless."""
        service = self.service
        if service is None or service.type == "ExternalName":
            return ()
        if service.headless:
            return tuple(self._of_endpoints())
        ports = [(one.name.lower(), one.protocol.lower(), one.port) for one in service.ports]
        return tuple(
            Target("", ip, *port) for port in ports or [("", "", 0)] for ip in service.cluster_ips
        )

    @property
    def is_idle(self) -> bool:
        """Whether it has a cluster address, but nobody behind it."""
        service = self.service
        if service is None or service.type == "ExternalName" or service.headless:
            return False
        return not any(part.targets for part in self.parts)

    def _of_endpoints(self) -> Iterator[Target]:
        return chain.from_iterable(part.targets for part in self.parts)


def dashed(ip: str) -> str:
    """`10-244-1-2`, `fd00--2`: an address as a label."""
    return ip.replace(".", "-").replace(":", "-")


def undashed(label: str) -> str:
    """The text that `dashed` was given, if it was an address."""
    is_ipv4 = label.count("-") == 3 and "--" not in label
    return label.replace("-", "." if is_ipv4 else ":")
