"""`testbed inspect`: nodes, pods, services, endpoints and ingresses of a lab."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from testbed.cli.arguments import add_lab_argument
from testbed.cli.output import add_output_option, emit, table
from testbed.ip import host_port


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_lab_argument(parser, optional=True)
    add_output_option(parser)


def only_lab(name: str | None) -> str:
    """The lab that is meant. Raises NotFound, UsageError where it is not clear."""
    from testbed.errors import NotFound, UsageError
    from testbed.lab import registry

    if name:
        return name
    names = registry.names()
    if not names:
        raise NotFound("no lab runs", "`testbed up FILE` starts one")
    if len(names) > 1:
        raise UsageError("several labs run", f"say which: {', '.join(names)}")
    return names[0]


def run(args: argparse.Namespace) -> int:
    """Print what there is."""
    from testbed.lab.client import Lab

    answer = Lab.attach(only_lab(args.lab)).inspect()
    if args.output != "table":
        emit(args, answer)
        return 0
    parts = f"kernel {answer['kernel']}, proxy {answer['proxy']}, {_network(answer['podNetwork'])}"
    print(f"lab {answer['name']}, {parts}\n")
    print(table(answer["nodes"], _NODES), end="\n\n")
    print(table(answer["pods"], _PODS), end="\n\n")
    print(table(answer["services"], _SERVICES))
    for part in _balancer(answer["loadBalancer"]):
        print("\n" + part)
    for part in ingress_parts(answer["ingresses"]):
        print("\n" + part)
    links = [row for row in answer["links"] if _is_news(row)]
    if links:
        print("\n" + table(links, _LINKS))
    if answer["partition"]:
        print(f"\npartition: {' | '.join(','.join(group) for group in answer['partition'])}")
    return 0


def _network(network: dict[str, Any]) -> str:
    links = "CNI plug-ins" if network["plugins"] else f"pods' packets {network['podMTU']} bytes"
    trouble = f" ({network['trouble']})" if network["trouble"] else ""
    return f"pod network {network['cni']}, {links}{trouble}"


def _balancer(balancer: dict[str, Any]) -> Iterator[str]:
    """Which nodes the load balancers' addresses lead to, and who has none and why."""
    for key in ("answeredBy", "announcedBy", "leadsTo"):
        rows = [
            {"address": address, "nodes": nodes, "ways": _ways(balancer, address)}
            for address, nodes in balancer.get(key, {}).items()
        ]
        if rows:
            yield table(rows, _ADDRESSES[key])
    for service, why in sorted(balancer.get("pending", {}).items()):
        yield f"pending: {service}: {why}"
    for one in balancer.get("refused", ()):
        yield f"refused: {one['service']}: {one['why']}"


def ingress_parts(ingresses: list[dict[str, Any]]) -> Iterator[str]:
    """Which host and path leads where, a row each, and what is wrong."""
    rows = [{**one, **way} for one in ingresses for way in _ways_in(one)]
    if rows:
        yield table(rows, _INGRESSES)
    troubles = [
        f"ingress {one['namespace']}/{one['name']}: {trouble['message']}"
        for one in ingresses
        for trouble in one["troubles"]
    ]
    if troubles:
        yield "\n".join(troubles)


def _ways_in(ingress: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in ingress["paths"]:
        mark = " (exact)" if path["pathType"] == "Exact" else ""
        yield {"host": path["host"], "path": path["path"] + mark, "backend": path}
    if ingress["defaultBackend"]:
        yield {"host": "*", "path": "(default)", "backend": ingress["defaultBackend"]}


def _backend(backend: dict[str, Any]) -> str:
    return backend.get("resource") or f"{backend['service']}:{backend['port']}"


def _secrets(row: dict[str, Any]) -> str:
    """Of this row's host: its Secrets, or `default` for the controller's own certificate."""
    mine = [tls for tls in row["tls"] if row["host"] in (tls["hosts"] or row["hosts"])]
    return ",".join(tls["secret"] or "default" for tls in mine) or "-"


def _ways(balancer: dict[str, Any], address: str) -> str:
    """How many next hops each router has for it."""
    ways = balancer.get("ways", {})
    return ",".join(
        f"{router}:{found[address]}" for router, found in ways.items() if found.get(address)
    )


def _external(service: dict[str, Any]) -> str:
    """As kubectl: an ExternalName has the name that it stands for."""
    name = service["externalName"] if service["type"] == "ExternalName" else ""
    found = [*service["loadBalancer"], *service["externalIPs"], *([name] if name else [])]
    return ",".join(found) or ("<pending>" if service["type"] == "LoadBalancer" else "<none>")


def _is_news(link: dict[str, Any]) -> bool:
    """Whether it is more than a plain cable that does what it should."""
    return link["state"] != "up" or any(link["shapes"])


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _shape(link: dict[str, Any], end: int) -> str:
    from testbed.model.shape import Shape

    return Shape(**link["shapes"][end]).words() or "-"


def _ports(service: dict[str, Any]) -> str:
    return ",".join(
        f"{port['port']}{':' + str(port['nodePort']) if port['nodePort'] else ''}/{port['protocol']}"
        for port in service["ports"]
    )


def _endpoints(service: dict[str, Any]) -> str:
    ready = [host_port(row["ip"], row["port"]) for row in service["endpoints"] if row["ready"]]
    more = f" + {len(ready) - 3} more" if len(ready) > 3 else ""
    return ",".join(ready[:3]) + more or "none"


_NODES = {
    "NODE": lambda row: row["name"],
    "ADDRESS": lambda row: ",".join(row["addresses"]),
    "PODS": lambda row: ",".join(row["podCIDRs"]),
    "READY": lambda row: _yes(row["ready"]) + (" (cut off)" if row["cutOff"] else ""),
}
_PODS = {
    "NAMESPACE": lambda row: row["namespace"],
    "POD": lambda row: row["name"],
    "READY": lambda row: _yes(row["ready"]),
    "PHASE": lambda row: row["reason"] or row["phase"],
    "RESTARTS": lambda row: row["restarts"],
    "IP": lambda row: ",".join(row["ips"]),
    "NODE": lambda row: row["node"],
}
_SERVICES = {
    "NAMESPACE": lambda row: row["namespace"],
    "SERVICE": lambda row: row["name"],
    "TYPE": lambda row: row["type"],
    "CLUSTER-IP": lambda row: ",".join(row["clusterIPs"]) or "<none>",
    "EXTERNAL-IP": _external,
    "PORTS": _ports,
    "ENDPOINTS": _endpoints,
}
_ADDRESSES = {
    "answeredBy": {
        "ADDRESS": lambda row: row["address"],
        "ANSWERED-BY": lambda row: ",".join(row["nodes"]) or "nobody",
    },
    "announcedBy": {
        "ADDRESS": lambda row: row["address"],
        "ANNOUNCED-BY": lambda row: ",".join(row["nodes"]) or "nobody",
        "WAYS": lambda row: row["ways"] or "none",
    },
    "leadsTo": {
        "ADDRESS": lambda row: row["address"],
        "BALANCED-TO": lambda row: ",".join(row["nodes"]) or "none",
    },
}
_INGRESSES = {
    "NAMESPACE": lambda row: row["namespace"],
    "INGRESS": lambda row: row["name"],
    "CLASS": lambda row: row["class"],
    "ADDRESS": lambda row: ",".join(row["addresses"]) or "<pending>",
    "HOST": lambda row: row["host"],
    "PATH": lambda row: row["path"],
    "BACKEND": lambda row: _backend(row["backend"]),
    "TLS": _secrets,
}
_LINKS = {
    "LINK": lambda row: row["name"],
    "STATE": lambda row: row["state"] + (", impaired" if row["impaired"] else ""),
    "THERE": lambda row: _shape(row, 0),
    "BACK": lambda row: _shape(row, 1),
}
