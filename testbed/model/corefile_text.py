"""The Corefile that a topology asks for; by itself it is kubeadm's, as far as that means anything here."""

from __future__ import annotations

import re

from testbed.model.dns import DNS, DNSPlugin

HEALTH_PORT, READY_PORT, METRICS_PORT = 8080, 8181, 9153
_FORWARD = """\
    forward . /etc/resolv.conf {
        max_concurrent 1000
    }
"""


def kubeadm_corefile(domain: str, *, has_upstream: bool) -> str:
    """Kubeadm's, for a cluster of this domain. Source: cmd/kubeadm/app/phases/addons/dns/manifests.go.

    Without `ttl 30`: CoreDNS's own default of 5 seconds holds, as the specification's examples have it. Where
    the DNS pods' node knows no name server there is nobody to forward to, and what is unknown is denied.
    """
    falls = "        fallthrough in-addr.arpa ip6.arpa\n" if has_upstream else ""
    return f"""\
.:53 {{
    errors
    health {{
        lameduck 5s
    }}
    ready
    kubernetes {domain} in-addr.arpa ip6.arpa {{
        pods insecure
{falls}    }}
    prometheus :{METRICS_PORT}
{_FORWARD if has_upstream else ""}\
    cache 30 {{
        disable success {domain}
        disable denial {domain}
    }}
    loop
    reload
    loadbalance
}}
"""


def corefile_text(dns: DNS) -> str:
    """What the DNS servers' Corefile says at first (a loader has read the file that `corefile` names)."""
    if dns.corefile:
        return dns.corefile
    if dns.plugins:
        return of_plugins(dns.plugins)
    return kubeadm_corefile(dns.domain, has_upstream=dns.outside is not None)


def of_plugins(plugins: tuple[DNSPlugin, ...]) -> str:
    """A Corefile of one block for all names."""
    return ".:53 {\n" + "".join(map(lines_of, plugins)) + "}\n"


def lines_of(plugin: DNSPlugin) -> str:
    """A plug-in's lines."""
    head = f"    {plugin.name} {plugin.parameters}".rstrip()
    inner = [line.strip() for line in plugin.config_block.splitlines() if line.strip()]
    if not inner:
        return f"{head}\n"
    return f"{head} {{\n" + "".join(f"        {line}\n" for line in inner) + "    }\n"


def has_page(corefile: str, plugin: str, port: int) -> bool:
    """Whether a Corefile has the page of `health` or `ready` where kubeadm's probes look for it."""
    return bool(re.search(rf"^\s*{plugin}(?:\s+:{port})?\s*(?:\{{\s*)?$", corefile, re.MULTILINE))
