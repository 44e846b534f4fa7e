"""A node's host ports -> nftables tables that pass on what comes there, as the CNI plug-in portmap writes them.

Source: containernetworking/plugins, plugins/meta/portmap/portmap_nftables.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from testbed.command import Command
from testbed.ip import IPAddress, host_port
from testbed.model.containers import ContainerPort
from testbed.model.objects.pods import Pod

TABLE = "cni_hostport"
_HOOKS = (("prerouting", "prerouting", "dstnat"), ("output", "output", "-100"))


@dataclass(frozen=True, slots=True)
class PortMapping:
    """`pod` is where it leads to."""

    protocol: str
    host_port: int
    pod: IPAddress
    pod_port: int
    host_ip: str = ""
    """"": all addresses of the node."""
    comment: str = ""


def port_mappings(pod: Pod) -> list[dict[str, str | int]]:
    """The same as CNI's capability portMappings has it, for plug-ins that care for host ports."""
    return [
        {
            "hostPort": port.host_port,
            "containerPort": port.container_port,
            "protocol": port.protocol.lower(),
            "hostIP": port.host_ip,
        }
        for port in _host_ports(pod)
    ]


def _host_ports(pod: Pod) -> list[ContainerPort]:
    containers = (*pod.spec.init_containers, *pod.spec.containers)
    return [port for container in containers for port in container.ports if port.host_port]


def mappings(pod: Pod, addresses: Iterable[IPAddress]) -> tuple[PortMapping, ...]:
    """What a pod asks for; nothing where it has no network of its own."""
    if pod.spec.host_network:
        return ()
    return tuple(
        PortMapping(
            port.protocol.lower(),
            port.host_port,
            address,
            port.container_port,
            "" if port.host_ip in ("0.0.0.0", "::") else port.host_ip,
            f"{pod.meta.namespace}/{pod.meta.name}",
        )
        for port in _host_ports(pod)
        for address in addresses
        if not port.host_ip or (":" in port.host_ip) == (address.version == 6)
    )


def command(wanted: Iterable[PortMapping], families: Iterable[int]) -> Command:
    """Makes the node's tables what `wanted` says, each at once; without any they are gone."""
    every = tuple(wanted)
    lines: list[str] = []
    for family in families:
        name = f"{'ip6' if family == 6 else 'ip'} {TABLE}"
        lines += [f"add table {name}", f"delete table {name}"]
        if own := [one for one in every if one.pod.version == family]:
            lines += _table(name, own)
    return Command(("nft", "-f", "-"), "\n".join(lines) + "\n")


def _table(name: str, wanted: list[PortMapping]) -> list[str]:
    ip = name.partition(" ")[0]
    lines = [f"table {name} {{", "  chain hostports {"]
    # Those of one address first: they are more particular.
    lines += [f"    {_rule(ip, one)}" for one in sorted(wanted, key=lambda one: not one.host_ip)]
    lines.append("  }")
    for chain, hook, priority in _HOOKS:
        lines += [
            f"  chain {chain} {{",
            f"    type nat hook {hook} priority {priority}; policy accept;",
            "    fib daddr type local jump hostports",
            "  }",
        ]
    lines += [
        "  chain masquerading {",
        "    type nat hook postrouting priority srcnat; policy accept;",
    ]
    for pod in dict.fromkeys(one.pod for one in wanted):
        lines.append(f"    {ip} saddr {pod} {ip} daddr {pod} masquerade")
        if pod.version == 4:
            lines.append(f"    ip saddr 127.0.0.1 ip daddr {pod} masquerade")
    return [*lines, "  }", "}"]


def _rule(ip: str, one: PortMapping) -> str:
    where = f"{ip} daddr {one.host_ip} " if one.host_ip else ""
    to = host_port(str(one.pod), one.pod_port)
    return f'{where}{one.protocol} dport {one.host_port} dnat to {to} comment "{one.comment}"'
