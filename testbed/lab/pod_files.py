"""The name files of a pod: hosts, hostname and resolv.conf, as kubelet writes them.

Source: pkg/kubelet/kubelet_pods.go, managedHostsFileContent; pkg/kubelet/network/dns/dns.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from testbed.dns.search import MAX_NAMESERVERS, ResolvConf
from testbed.ip import families_of
from testbed.model.containers import DNSConfig
from testbed.model.objects.pods import Pod
from testbed.runtime.interface import NotYet

_MAX_HOSTNAME, _MAX_FULL_NAME = 63, 64
"""A label's length; what the kernel takes (sethostname(2))."""
_MAX_SEARCHES, _MAX_SEARCH_CHARS, _MAX_DOMAIN = 32, 2048, 253
"""Of Kubernetes since 1.28 (ExpandedDNSConfig)."""


def hostname(pod: Pod, domain: str) -> str:
    """What the pod's containers are called by the kernel. Raises NotYet where it takes no name so long."""
    short = (pod.spec.hostname or pod.meta.name)[:_MAX_HOSTNAME].rstrip("-.")
    full = full_name(pod, domain) if pod.spec.set_hostname_as_fqdn else ""
    if len(full) > _MAX_FULL_NAME:
        asked = f"{len(full)} characters requested"
        raise NotYet(
            f"FQDN {full} is too long ({_MAX_FULL_NAME} characters is the max, {asked})",
            "shorten hostname or subdomain, or leave setHostnameAsFQDN out",
        )
    return full or short


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
    """Text of a pod's resolv.conf, by its dnsPolicy and its dnsConfig; `elsewhere`: that of its node.

    A cluster without DNS servers gives ClusterFirst what Default gives.
    """
    policy, config = pod.spec.dns_policy, pod.spec.dns_config or DNSConfig()
    if policy == "ClusterFirst" and pod.spec.host_network:
        policy = "Default"
    in_node = _settings(elsewhere)
    if policy == "None":
        base = _Settings()
    elif policy == "Default" or not in_cluster.nameservers:
        if pod.spec.dns_config is None:
            return elsewhere
        base = in_node
    else:
        search = (*in_cluster.search, *in_node.search)
        base = _Settings(in_cluster.nameservers, search, {"ndots": str(in_cluster.ndots)})
    return _Settings(
        (*base.nameservers, *config.nameservers),
        (*base.search, *config.searches),
        {**base.options, **{one.name: one.value for one in config.options}},
    ).text()


@dataclass(frozen=True, slots=True)
class _Settings:
    """A resolv.conf as kubelet puts it together: nothing in it has a meaning yet."""

    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: Mapping[str, str | None] = field(default_factory=dict)

    def text(self) -> str:
        """The file: nothing said twice, and no more than a resolver takes."""
        search = _fitting(dict.fromkeys(self.search))
        lines = [f"search {' '.join(search)}"] if search else []
        servers = list(dict.fromkeys(self.nameservers))[:MAX_NAMESERVERS]
        lines += [f"nameserver {server}" for server in servers]
        if self.options:
            spelt = (f"{name}:{value}" if value else name for name, value in self.options.items())
            lines.append(f"options {' '.join(spelt)}")
        return "".join(f"{line}\n" for line in lines)


def _fitting(search: Iterable[str]) -> list[str]:
    """As many domains as fit on kubelet's line; longer ones than a name can be make glibc abort."""
    domains = [domain for domain in search if len(domain) <= _MAX_DOMAIN][:_MAX_SEARCHES]
    while len(" ".join(domains)) > _MAX_SEARCH_CHARS:
        domains.pop()
    return domains


def _settings(text: str) -> _Settings:
    """What a file says: of lines that are there twice the last one counts, but for nameservers."""
    lines = [line.split() for line in text.splitlines() if line[:1] not in ("#", ";")]
    said = {line[0]: line[1:] for line in lines if line}
    servers = tuple(line[1] for line in lines if line[:1] == ["nameserver"] and len(line) > 1)
    options = (option.partition(":") for option in said.get("options", ()))
    search = tuple(domain.rstrip(".") for domain in said.get("search", ()))
    return _Settings(servers, search, {name: value or None for name, _, value in options})
