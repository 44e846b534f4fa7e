"""What a service keeps of what was allocated to it, and what its new type takes away.

Source: `patchAllocatedValues`, `dropTypeDependentFields`, `normalizeClusterIPs` of `pkg/registry/core/service`.
A client that replaces a service need not repeat its addresses, its node ports nor its policies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Json = dict[str, Any]

_WITH_ADDRESS = {"ClusterIP", "NodePort", "LoadBalancer"}
_WITH_NODE_PORTS = {"NodePort", "LoadBalancer"}


def carried_over(spec: Mapping[str, Any], old: Mapping[str, Any]) -> Json:
    """The spec that replaces `old`, completed by what stays and rid of what goes with a change of type."""
    spec = _same_addresses(dict(spec), old)
    if _has_address(old) and _has_address(spec):
        _keep_addresses(spec, old)
    if _has_node_ports(old) and _has_node_ports(spec):
        spec["ports"] = _kept_node_ports(spec.get("ports") or [], old.get("ports") or [])
    if _checks_health(old) and _checks_health(spec) and not spec.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = old.get("healthCheckNodePort", 0)
    return _without_type_dependents(spec, old)


def one_address(spec: Mapping[str, Any]) -> Json:
    """The spec with `clusterIPs` where only `clusterIP` is said."""
    if spec.get("clusterIP") and not spec.get("clusterIPs"):
        return {**spec, "clusterIPs": [spec["clusterIP"]]}
    return dict(spec)


def _same_addresses(spec: Json, old: Mapping[str, Any]) -> Json:
    """`clusterIPs` follows where a client changes or clears `clusterIP` alone, as old clients do."""
    first, was = spec.get("clusterIP") or "", old.get("clusterIP") or ""
    if was and first != was and spec.get("clusterIPs") == old.get("clusterIPs"):
        spec.pop("clusterIPs", None)
    if not first and not was and spec.get("clusterIPs"):
        return spec
    return one_address(spec) if first != was else spec


def _keep_addresses(spec: Json, old: Mapping[str, Any]) -> None:
    if not spec.get("clusterIP"):
        listed = spec.get("clusterIPs") or [old.get("clusterIP") or ""]
        spec["clusterIP"] = listed[0]
    if not spec.get("clusterIPs") and spec["clusterIP"] == old.get("clusterIP"):
        spec["clusterIPs"] = list(old.get("clusterIPs") or [])
    policy = spec.setdefault("ipFamilyPolicy", old.get("ipFamilyPolicy") or "")
    if policy == "SingleStack":
        # Who asks for a single stack and repeats the rest gives the second of each up.
        for key in ("clusterIPs", "ipFamilies"):
            if spec.get(key) == old.get(key) and spec.get(key):
                spec[key] = spec[key][:1]
    for key in ("clusterIP", "ipFamilyPolicy"):
        if not spec[key]:
            del spec[key]


def _kept_node_ports(ports: list[Json], old: list[Json]) -> list[Json]:
    """Ports that lack a node port, and bear the name of one that had one, keep it."""
    had = {port.get("name", ""): port.get("nodePort", 0) for port in old}
    used = {port.get("nodePort", 0) for port in ports} & set(had.values())
    kept = []
    for port in ports:
        before = had.get(port.get("name", ""), 0)
        if not port.get("nodePort") and before and before not in used:
            kept.append({**port, "nodePort": before})
        else:
            kept.append(port)
    return kept


def _without_type_dependents(spec: Json, old: Mapping[str, Any]) -> Json:
    """What the new type has no use for goes, unless the client changed it: then validation says so."""
    rows: tuple[tuple[Callable[[Mapping[str, Any]], bool], tuple[str, ...]], ...] = (
        (_has_address, ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")),
        (_checks_health, ("healthCheckNodePort",)),
        (_is_load_balancer, ("allocateLoadBalancerNodePorts", "loadBalancerClass")),
        (_is_external, ("externalTrafficPolicy",)),
        (_has_address, ("internalTrafficPolicy",)),
    )
    for needs, keys in rows:
        if needs(old) and not needs(spec):
            for key in keys:
                if spec.get(key) == old.get(key):
                    spec.pop(key, None)
    if _has_node_ports(old) and not _has_node_ports(spec):
        numbers = [[port.get("nodePort") for port in one.get("ports") or []] for one in (old, spec)]
        if numbers[0] == numbers[1]:
            spec["ports"] = [
                {key: value for key, value in port.items() if key != "nodePort"}
                for port in spec.get("ports") or []
            ]
    return spec


def _type(spec: Mapping[str, Any]) -> str:
    return str(spec.get("type") or "ClusterIP")


def _has_address(spec: Mapping[str, Any]) -> bool:
    return _type(spec) in _WITH_ADDRESS


def _has_node_ports(spec: Mapping[str, Any]) -> bool:
    return _type(spec) in _WITH_NODE_PORTS


def _is_load_balancer(spec: Mapping[str, Any]) -> bool:
    return _type(spec) == "LoadBalancer"


def _checks_health(spec: Mapping[str, Any]) -> bool:
    return _is_load_balancer(spec) and spec.get("externalTrafficPolicy") == "Local"


def _is_external(spec: Mapping[str, Any]) -> bool:
    return _has_node_ports(spec) or bool(spec.get("externalIPs"))
