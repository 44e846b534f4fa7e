"""FROM and TO of `testbed trace` -> the request that the lab makes, and the account of it."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Any

from testbed.dns.wire import A, encode_query
from testbed.errors import NotFound, UsageError
from testbed.lab.client import Lab
from testbed.lab.wire import Connection
from testbed.packets import pcapng
from testbed.trace.account import account
from testbed.trace.evidence import evidence_of, pod_name
from testbed.trace.sightings import sightings
from testbed.traffic.spec import Target, parse_url

_DNS_PORT = 53


def trace(
    lab: Lab, source: str, to: str, token: str, *, udp: bool, timeout_s: float
) -> tuple[dict[str, Any], Path]:
    """The account of one request, and the file of all packets meanwhile. `token` marks the request.

    Raises NotFound, UsageError.
    """
    target = target_of(lab, source, to, udp)
    payload = payload_of(target, token)
    request = {
        "protocol": "udp" if target.protocol == "udp" else "tcp",
        "host": target.host,
        "port": target.port,
        "payload": payload.decode("latin-1"),
        "http": target.request if target.protocol == "http" else None,
        "timeout_s": timeout_s,
    }
    connection = Connection(lab.folder)
    try:
        answer = connection.call("trace", {"source": source, "request": request})
    finally:
        connection.close()
    capture = Path(answer["capture"])
    evidence = evidence_of(answer)
    told = account(evidence, sightings(frames(capture)), payload)
    return {"lab": lab.name, "to": to, **told}, capture


def frames(path: Path) -> list[tuple[pcapng.Interface, pcapng.Frame]]:
    """Every frame of a file with its interface."""
    interfaces: list[pcapng.Interface] = []
    found: list[tuple[pcapng.Interface, pcapng.Frame]] = []
    with path.open("rb") as file:
        for block in pcapng.read(file):
            if isinstance(block, pcapng.Interface):
                interfaces.append(block)
            else:
                found.append((interfaces[block.interface], block))
    return found


def target_of(lab: Lab, source: str, to: str, udp: bool) -> Target:
    """What TO means: a URL as it is, a service by its own port and protocol. Raises UsageError, NotFound."""
    if "://" in to:
        target = parse_url(to)
        if udp and target.protocol != "udp":
            raise UsageError(f"{to} is no datagram", "leave --udp out, or write udp://…")
        return target
    world = lab.inspect()
    host, port = _split(to)
    protocol = "udp" if udp else ""
    if not port or not protocol:
        port, protocol = _of_service(world, source, host, port, protocol)
    if not port:
        raise UsageError(f"{to} has no port", f"write it like {host}:80")
    host = _address_of(world, source, host)
    kind = "udp" if protocol == "udp" else "http"
    shown = f"[{host}]" if ":" in host else host
    return parse_url(f"{kind}://{shown}:{port}/hostname")


def payload_of(target: Target, token: str) -> bytes:
    """The request's bytes: nobody else's are alike."""
    if target.protocol == "http":
        head = f"GET {target.request} HTTP/1.1\r\nHost: {target.authority}\r\n"
        return f"{head}X-Testbed-Trace: {token}\r\nConnection: close\r\n\r\n".encode()
    if target.protocol == "udp" and target.port == _DNS_PORT:
        return encode_query(int(token[:4], 16), f"trace-{token}.invalid", A)
    end = "\n" if target.protocol == "tcp" else ""
    return f"echo {token}{end}".encode()


def _split(to: str) -> tuple[str, int]:
    """(host, port, 0 where it is left out) of `web`, `web:80`, `10.96.0.3:80`, `[fd00::7]:80`."""
    try:
        return str(ip_address(to.strip("[]"))), 0
    except ValueError:
        pass
    host, colon, port = to.rpartition(":")
    if not colon:
        return to, 0
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(f"{port!r} in {to!r} is no port", "write it like web:80")
    return host.strip("[]"), int(port)


def _of_service(
    world: dict[str, Any], source: str, host: str, port: int, protocol: str
) -> tuple[int, str]:
    """The port and the protocol of the service that is meant, as far as they are not given."""
    home = next(
        (
            pod["namespace"]
            for pod in world["pods"]
            if pod_name(pod["namespace"], pod["name"]) == source
        ),
        "default",
    )
    name, _, rest = host.rstrip(".").partition(".")
    namespace = rest.partition(".")[0] or home
    for service in world["services"]:
        is_meant = (service["name"], service["namespace"]) == (name, namespace)
        outside = host.rstrip(".").lower() in service["hostnames"]
        key = "nodePort" if outside and service["type"] == "NodePort" else "port"
        if is_meant or outside or host in (*service["clusterIPs"], *service["loadBalancer"]):
            for row in service["ports"]:
                known = row["protocol"].lower()
                if port in (0, row[key]) and protocol in ("", known):
                    _require_known(known, host)
                    return row[key], known
    elsewhere = {one["name"] for one in (*world["nodes"], *world["pods"])}
    if not port and not _is_ip(host) and host not in elsewhere:
        names = ", ".join(pod_name(one["namespace"], one["name"]) for one in world["services"])
        raise NotFound(f"no service {host!r} with a port to ask", f"there is {names}")
    return port, protocol


def _address_of(world: dict[str, Any], source: str, host: str) -> str:
    """Nodes and pods have no name in DNS, and only pods have a DNS server to ask for a service; names outside
    the cluster are left to who asks.
    """
    pods = {pod_name(pod["namespace"], pod["name"]): pod["ip"] for pod in world["pods"]}
    known = {node["name"]: node["addresses"][0] for node in world["nodes"]}
    services = {
        pod_name(one["namespace"], one["name"]): one["clusterIP"] for one in world["services"]
    }
    has_dns = "kube-system/kube-dns" in services
    is_pod = source in pods or source.removeprefix("default/") in pods
    if not (has_dns and is_pod):
        known |= {name: ip for name, ip in services.items() if ip not in ("", "None")}
    elif host in services:
        return host
    return known.get(host) or pods.get(host) or host


def _require_known(protocol: str, host: str) -> None:
    if protocol not in ("tcp", "udp"):
        raise UsageError(f"{host} speaks {protocol}", "a trace is of TCP or UDP")


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
