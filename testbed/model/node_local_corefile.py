"""The Corefile of a cache on every node, as NodeLocal DNSCache has it.

Source: kubernetes/kubernetes, cluster/addons/dns/nodelocaldns/nodelocaldns.yaml. Where that asks the resolvers
of its node for names outside the cluster, this asks the cluster's servers: a node here has no resolver.
"""

from __future__ import annotations

from testbed.ip import host_port

HEALTH_PORT, METRICS_PORT = 8080, 9253

_DOMAIN, _LOCAL, _CLUSTER = (
    "__PILLAR__DNS__DOMAIN__",
    "__PILLAR__LOCAL__DNS__",
    "__PILLAR__CLUSTER__DNS__",
)
"""The manifest's words for the cluster's domain, where the cache listens, and whom it asks."""

COREFILE = f"""\
{_DOMAIN}:53 {{
    errors
    cache {{
        success 9984 30
        denial 9984 5
    }}
    reload
    loop
    bind {_LOCAL}
    forward . {_CLUSTER} {{
        force_tcp
    }}
    prometheus :{METRICS_PORT}
    health {_LOCAL}:{HEALTH_PORT}
}}
.:53 {{
    errors
    cache 30
    reload
    loop
    bind {_LOCAL}
    forward . {_CLUSTER} {{
        force_tcp
    }}
    prometheus :{METRICS_PORT}
}}
"""
"""The manifest's; its blocks for in-addr.arpa and ip6.arpa are those of the root: they differ in whom they ask
where a node has a resolver of its own."""


def filled(template: str, domain: str, local: str, upstream: str) -> str:
    """A Corefile with what only the cluster knows in place of the manifest's words."""
    text = template.replace(f"{_LOCAL}:", host_port(local, 0).removesuffix("0"))
    words = {_DOMAIN: domain, _LOCAL: local, _CLUSTER: upstream}
    for word, value in words.items():
        text = text.replace(word, value)
    return text
