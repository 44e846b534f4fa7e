"""The name files of a pod: hosts, hostname and resolv.conf, as kubelet writes them.

Source: pkg/kubelet/kubelet_pods.go, managedHostsFileContent; pkg/kubelet/network/dns/dns.go.
"""

from __future__ import annotations

from collections.abc import Iterable

from testbed.dns.search import ResolvConf
from testbed.ip import families_of
from testbed.model.objects import Pod

_MAX_HOSTNAME = 63


def hostname(pod: Pod, domain: str) -> str:
    """What the pod's containers are called by the kernel."""
    short = (pod.spec.hostname or pod.meta.name)[:_MAX_HOSTNAME].rstrip("-.")
    return full_name(pod, domain) or short if pod.spec.set_hostname_as_fqdn else short


def full_name(pod: Pod, domain: str) -> str:
    """Its name in the cluster's DNS; "" without a subdomain."""
    if not pod.spec.subdomain:
        return ""
    short = pod.spec.hostname or pod.meta.name
    return f"{short}.{pod.spec.subdomain}.{pod.meta.namespace}.svc.{domain}"


def hosts(names: str, addresses: Iterable[str], *, aliases: str = "") -> str:
    """Text of a hosts file; without IPv6 there is no ::1 either."""
    own = tuple(addresses)
    lines = ["127.0.0.1 localhost"]
    if 6 in families_of(own):
        lines.append("::1 localhost ip6-localhost ip6-loopback")
    lines += [f"{address} {names}" for address in own]
    return "".join(f"{line}\n" for line in lines) + aliases


def pod_hosts(pod: Pod, addresses: Iterable[str], domain: str) -> str:
    """Text of a pod's hosts file."""
    full, short = full_name(pod, domain), (pod.spec.hostname or pod.meta.name)
    lines = [f"{one.ip} {' '.join(one.hostnames)}\n" for one in pod.spec.host_aliases]
    aliases = "\n# Entries added by HostAliases.\n" + "".join(lines) if lines else ""
    return hosts(f"{full} {short}" if full else short, addresses, aliases=aliases)


def resolv_conf(pod: Pod, in_cluster: ResolvConf, elsewhere: str) -> str:
    """Text of a pod's resolv.conf, by its dnsPolicy and its dnsConfig; `elsewhere`: that of its node."""
    policy = pod.spec.dns_policy
    if policy == "ClusterFirst" and pod.spec.host_network:
        policy = "Default"
    config = pod.spec.dns_config
    if policy == "Default" and config is None:
        return elsewhere
    servers, search, options = list[str](), list[str](), dict[str, str | None]()
    if policy in ("ClusterFirst", "ClusterFirstWithHostNet"):
        servers, search = list(in_cluster.nameservers), list(in_cluster.search)
        options = {"ndots": str(in_cluster.ndots)}
    if config is not None:
        servers += [one for one in config.nameservers if one not in servers]
        search += [one for one in config.searches if one not in search]
        options |= {one.name: one.value for one in config.options}
    lines = [f"search {' '.join(search)}"] if search else []
    lines += [f"nameserver {server}" for server in servers]
    if options:
        spelt = (name if value is None else f"{name}:{value}" for name, value in options.items())
        lines.append(f"options {' '.join(spelt)}")
    return "".join(f"{line}\n" for line in lines)
