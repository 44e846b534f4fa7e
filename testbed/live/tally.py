"""Connections that a lab has counted -> who of each service got how many, and how fast."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from testbed.ip import host_port

Picks = Iterable[tuple[str, int, str, str, int]]
"""Rows of `Lab.watch`: node, protocol's number, service address ("": not said), endpoint, connections."""
Counts = Mapping[str, Mapping[str, int]]
"""Service port (`default/web:http`) -> endpoint (`10.244.1.2:8080`) -> connections."""
PROTOCOLS = {6: "TCP", 17: "UDP", 132: "SCTP"}
WINDOW_S = 5.0
"""Rates are over this time."""


def port_name(service: Mapping[str, Any], name: str) -> str:
    """`namespace/service:port`, as kube-proxy's comments have it."""
    full = f"{service['namespace']}/{service['name']}"
    return f"{full}:{name}" if name else full


class Addresses:
    """Which service port an address belongs to; of `inspect`'s JSON."""

    def __init__(self, inspected: Mapping[str, Any]) -> None:
        machines = [ip for node in inspected["nodes"] for ip in node["addresses"]]
        self._dialled: dict[tuple[str, str], str] = {}
        self._endpoints: dict[tuple[str, str], str] = {}
        for service in inspected["services"]:
            for port in service["ports"]:
                name, protocol = port_name(service, port["name"]), port["protocol"]
                ips = (*service["clusterIPs"], *service["externalIPs"], *service["loadBalancerIPs"])
                texts = [host_port(ip, port["port"]) for ip in ips if ip != "None"]
                texts += [host_port(ip, port["nodePort"]) for ip in machines if port["nodePort"]]
                self._dialled.update({(protocol, text): name for text in texts})
            for end in service["endpoints"]:
                key = end["protocol"], host_port(end["ip"], end["port"])
                self._endpoints.setdefault(key, port_name(service, end["portName"]))

    def service_port(self, protocol: int, dialled: str, endpoint: str) -> str | None:
        """Whose connection this is; None: no service's. A userspace proxy does not say what was dialled:
        then it is the first service with that endpoint.
        """
        word = PROTOCOLS.get(protocol, "")
        if dialled:
            return self._dialled.get((word, dialled))
        return self._endpoints.get((word, endpoint))


def counts(picks: Picks, addresses: Addresses) -> Counts:
    """Connections by service port and endpoint, of all nodes together."""
    found: dict[str, dict[str, int]] = {}
    for _, protocol, dialled, endpoint, count in picks:
        name = addresses.service_port(protocol, dialled, endpoint)
        if name is not None:
            of_port = found.setdefault(name, {})
            of_port[endpoint] = of_port.get(endpoint, 0) + count
    return found


class Rates:
    """New connections a second, over the last `WINDOW_S`."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, Counts]] = deque()

    def add(self, t_ns: int, now: Counts) -> None:
        """Take in the counts of an instant, which only grow."""
        self._samples.append((t_ns, now))
        while len(self._samples) > 2 and t_ns - self._samples[1][0] >= WINDOW_S * 1e9:
            self._samples.popleft()

    def per_s(self, port: str, endpoint: str) -> float:
        """0 before there are two samples."""
        (began_ns, before), (ended_ns, after) = self._samples[0], self._samples[-1]
        if ended_ns == began_ns:
            return 0.0
        grown = after.get(port, {}).get(endpoint, 0) - before.get(port, {}).get(endpoint, 0)
        return grown * 1e9 / (ended_ns - began_ns)


@dataclass(frozen=True, slots=True)
class EndpointRow:
    """One endpoint of a service port. `share`: of what the port's endpoints were given since counting began."""

    endpoint: str
    pod: str
    node: str
    ready: bool
    connections: int
    rate_per_s: float
    share: float


@dataclass(frozen=True, slots=True)
class PortRow:
    """One service port."""

    name: str
    type: str
    address: str
    """`10.96.0.10:53/UDP`; "headless"; an external name."""
    node_port: int
    connections: int
    rate_per_s: float
    endpoints: tuple[EndpointRow, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def port_rows(inspected: Mapping[str, Any], now: Counts, rates: Rates) -> tuple[PortRow, ...]:
    """Every port of every service, in `inspect`'s order. Endpoints that are gone stay where somebody picked
    them.
    """
    return tuple(
        _port_row(service, port, now, rates)
        for service in inspected["services"]
        for port in service["ports"]
    )


def _port_row(
    service: Mapping[str, Any], port: Mapping[str, Any], now: Counts, rates: Rates
) -> PortRow:
    name = port_name(service, port["name"])
    picked = now.get(name, {})
    total = sum(picked.values())
    known = {
        host_port(end["ip"], end["port"]): end
        for end in service["endpoints"]
        if (end["portName"], end["protocol"]) == (port["name"], port["protocol"])
    }
    gone = {
        text: {"pod": None, "node": "", "ready": False} for text in sorted(picked.keys() - known)
    }
    rows = tuple(
        EndpointRow(
            text,
            end["pod"] or "",
            end["node"],
            end["ready"],
            picked.get(text, 0),
            rates.per_s(name, text),
            picked.get(text, 0) / total if total else 0.0,
        )
        for text, end in (known | gone).items()
    )
    return PortRow(
        name,
        service["type"],
        _address(service, port),
        port["nodePort"] or 0,
        total,
        sum(row.rate_per_s for row in rows),
        rows,
    )


def _address(service: Mapping[str, Any], port: Mapping[str, Any]) -> str:
    if service["clusterIP"] in {"", "None"}:
        return "headless" if service["clusterIP"] else service["type"]
    return f"{host_port(service['clusterIP'], port['port'])}/{port['protocol']}"
