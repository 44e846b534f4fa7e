"""What people call whom they ask (`web`, `web:80`, `n1:30080`) -> a URL of it; what else leads there. Pure."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from testbed.errors import NotFound, UsageError
from testbed.trace.evidence import pod_name
from testbed.trace.outside_way import outside_way
from testbed.traffic.spec import Target


def url_of(world: dict[str, Any], source: str, to: str, protocol: str = "") -> str:
    """A service by its own port, and its own protocol unless tcp or udp is given; nodes, pods and addresses
    with their port. `world` is what `inspect` says of the lab. Raises UsageError, NotFound.
    """
    host, port = _split(to)
    if not port or not protocol:
        port, protocol = _of_service(world, source, host, port, protocol)
    if not port:
        raise UsageError(f"{to} has no port", f"write it like {host}:80")
    host = _address_of(world, source, host)
    kind = "udp" if protocol == "udp" else "http"
    shown = f"[{host}]" if ":" in host else host
    return f"{kind}://{shown}:{port}/hostname"


def other_way(world: dict[str, Any], source: str, target: Target) -> str:
    """What an outside host dials instead of a cluster address; empty for whoever else asks, or where nothing
    else leads in. `world` as for `url_of`.
    """
    inside = {node["name"] for node in world["nodes"]} | {
        pod_name(pod["namespace"], pod["name"]) for pod in world["pods"]
    }
    if target.address is None or source.removeprefix("default/") in inside:
        return ""
    node = next((node["name"] for node in world["nodes"] if node["ready"]), "")
    protocol = "udp" if target.protocol == "udp" else "tcp"
    return outside_way(world["services"], node, target.address, target.port, protocol)


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
    """The port and the protocol of the service that is meant, as far as they are not given. Raises UsageError,
    NotFound.
    """
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
        raise UsageError(f"{host} speaks {protocol}", "ask for a port of TCP or UDP")


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
