"""A topology's names adapted to a trial: what its DNS servers do with a query. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from testbed.model.corefile_text import METRICS_PORT
from testbed.model.dns import DNS
from testbed.model.topology import Topology


def with_chain(
    topology: Topology,
    *,
    ttl_s: int = 5,
    loadbalance: bool = True,
    autopath: bool = False,
    hosts: Mapping[str, str] | None = None,
) -> Topology:
    """Servers with kubeadm's chain, without a cache and with `hosts` (name -> address) for all the world
    outside the cluster. Who would be asked for the rest says that it does not exist: so does the plug-in
    `kubernetes` here, for their top-level domains and for what is left of names behind a search list.
    """
    domain = topology.dns.domain
    pods = "verified" if autopath else "insecure"
    cluster = f"pods {pods}\nfallthrough in-addr.arpa ip6.arpa\nttl {ttl_s}\n"
    denied = {name.rpartition(".")[2] for name in hosts} | {"default", "svc"} if hosts else set()
    plugins = [
        _plugin("errors"),
        _plugin("ready"),
        _plugin("prometheus", f":{METRICS_PORT}"),
        _plugin(
            "kubernetes", " ".join((domain, "in-addr.arpa", "ip6.arpa", *sorted(denied))), cluster
        ),
    ]
    if hosts:
        lines = "".join(f"{address} {name}\n" for name, address in sorted(hosts.items()))
        plugins.append(_plugin("hosts", block=f"{lines}fallthrough\n"))
    if autopath:
        plugins.append(_plugin("autopath", "@kubernetes"))
    if loadbalance:
        plugins.append(_plugin("loadbalance"))
    return _with_dns(topology, plugins=plugins, corefile="")


def with_node_local(topology: Topology, *, on: bool = True) -> Topology:
    """With a cache on every node that pods ask, or without."""
    return _with_dns(topology, nodeLocal=on)


def _plugin(name: str, parameters: str = "", block: str = "") -> dict[str, str]:
    return {"name": name, "parameters": parameters, "configBlock": block}


def _with_dns(topology: Topology, **changes: object) -> Topology:
    """By its keys and through validation: what an experiment asks for must be what a topology may say."""
    dns = DNS.model_validate(topology.dns.model_dump(by_alias=True) | changes)
    return topology.model_copy(update={"dns": dns})
