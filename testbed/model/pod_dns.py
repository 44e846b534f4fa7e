"""A pod's `dnsPolicy` and `dnsConfig`: how its programs resolve names."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.ip import canonical
from testbed.model.containers import DNSConfig
from testbed.model.fields import Fields
from testbed.model.metadata_read import is_subdomain_name
from testbed.model.spelled import one

POLICIES = ("ClusterFirst", "Default", "ClusterFirstWithHostNet", "None")
MAX_NAMESERVERS, MAX_SEARCHES = 3, 32
"""Kubernetes' limits; source: pkg/apis/core/validation, validatePodDNSConfig."""


@dataclass(frozen=True, slots=True)
class PodDNS:
    policy: str
    config: DNSConfig | None


def pod_dns(spec: Fields) -> PodDNS:
    """What a pod's spec, or a workload, says of it."""
    policy = spec.choice("dnsPolicy", POLICIES, "ClusterFirst")
    config = one(spec, "dnsConfig", DNSConfig)
    within = spec.child("dnsConfig")
    if policy == "None" and not (config and config.nameservers):
        hint = "dnsConfig: {nameservers: [10.96.0.10]}"
        spec.wrong("dnsPolicy", "None takes at least one of dnsConfig.nameservers", hint)
    if config is not None:
        if len(config.nameservers) > MAX_NAMESERVERS:
            within.wrong("nameservers", f"must not be more than {MAX_NAMESERVERS}")
        if len(config.searches) > MAX_SEARCHES:
            within.wrong("searches", f"must not be more than {MAX_SEARCHES}")
        for server in config.nameservers:
            if not canonical(server):
                within.wrong("nameservers", f"{server[:60]!r} is not an IP address")
        for domain in config.searches:
            if domain != "." and not _is_searched(domain):
                within.wrong("searches", f"{domain[:60]!r} is no DNS domain", "as in: example.org")
    return PodDNS(policy, config)


def _is_searched(domain: str) -> bool:
    """Names in a search list may begin with underscores (KEP-4427), and end with a dot."""
    return is_subdomain_name(domain.removesuffix(".").replace("_", "a"))
