"""The Corefile that a cluster has by itself: kubeadm's, as far as it means anything here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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


def of_plugins(plugins: Iterable[tuple[str, str, str]]) -> str:
    """The Corefile of one block for all names, out of (name, parameters, lines between braces)."""
    return ".:53 {\n" + "".join(map(lines_of, plugins)) + "}\n"


def lines_of(plugin: Sequence[str]) -> str:
    """A plug-in's lines."""
    name, parameters, block = plugin
    head = f"{name} {parameters}".rstrip()
    if not block.strip():
        return f"    {head}\n"
    inner = "".join(f"        {line.strip()}\n" for line in block.splitlines() if line.strip())
    return f"    {head} {{\n{inner}    }}\n"
