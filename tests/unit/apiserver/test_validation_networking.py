"""What is wrong with services, endpoints, ingresses, policies, and kinds with a rule or two."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.apiserver import schema
from testbed.apiserver.validation import mistakes

from .objects import VALID, changed, resource_of

_PORTS = [{"port": 80}]
_PATH = "spec/rules/0/http/paths/0"
_AT = "spec.rules[0].http.paths[0]"
_RULE = "spec/ingress/0"
_TYPED: dict[str, Any] = {"kubernetes.io/service-account.name": "default"}


def _service(**spec: Any) -> dict[str, Any]:
    return {"ports": _PORTS, **spec}


_BALANCED = _service(type="LoadBalancer")
_OUTSIDE = _service(type="ExternalName", ports=[], externalName="a.example.com")


@pytest.mark.parametrize(
    ("kind", "path", "value", "field", "said"),
    [
        # Services
        ("Service", "spec", _OUTSIDE, "", ""),
        ("Service", "spec", {**_OUTSIDE, "clusterIP": "10.96.0.9"}, "spec.clusterIPs",
         "may not be set for ExternalName services"),
        ("Service", "spec", {**_OUTSIDE, "ipFamilyPolicy": "SingleStack"}, "spec.ipFamilyPolicy",
         "may not be set for ExternalName services"),
        ("Service", "spec", {**_OUTSIDE, "externalName": "a_b"}, "spec.externalName", "RFC 1123"),
        ("Service", "spec", {**_BALANCED, "clusterIP": "None"}, "spec.clusterIPs[0]",
         "may not be set to 'None' for LoadBalancer services"),
        ("Service", "spec", {**_BALANCED, "loadBalancerSourceRanges": [" 10.0.0.0/8 "]}, "", ""),
        ("Service", "spec", {**_BALANCED, "loadBalancerSourceRanges": ["10.0.0.0"]},
         "spec.LoadBalancerSourceRanges[0]", "must be a valid CIDR value"),
        ("Service", "spec", {**_BALANCED, "loadBalancerClass": "a b"}, "spec.loadBalancerClass",
         "name part must consist of"),
        ("Service", "spec", _service(loadBalancerClass="a"), "spec.loadBalancerClass",
         "may only be used when `type` is 'LoadBalancer'"),
        ("Service", "spec", {**_BALANCED, "externalTrafficPolicy": "Local",
                             "healthCheckNodePort": 70000},
         "spec.healthCheckNodePort", "must be between 1 and 65535, inclusive"),
        ("Service", "spec", _service(sessionAffinity="ClientIP", sessionAffinityConfig={
            "clientIP": {"timeoutSeconds": 86401}}),
         "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
         "must be greater than 0 and less than 86400"),
        ("Service", "spec", _service(clusterIP="None", ports=[]), "", ""),
        ("Service", "spec", _service(clusterIPs=["10.96.0.9", "fd00::9", "10.96.0.8"]),
         "spec.clusterIPs", "may only hold up to 2 values"),
        ("Service", "spec", _service(clusterIP="10.96.0.9", clusterIPs=["10.96.0.8"]),
         "spec.clusterIPs", "first value must match `clusterIP`"),
        ("Service", "spec", _service(clusterIPs=["fd00::9"], ipFamilies=["IPv4"]),
         "spec.clusterIPs[0]", "expected an IPv4 value as indicated by `ipFamilies[0]`"),
        ("Service", "spec", _service(internalTrafficPolicy="Near"), "spec.internalTrafficPolicy",
         'Unsupported value: "Near": supported values: "Cluster", "Local"'),
        ("Service", "spec", _service(type="NodePort", ports=[
            {"name": "a", "port": 80, "nodePort": 30000},
            {"name": "b", "port": 81, "nodePort": 30000}]),
         "spec.ports[1].nodePort", "Duplicate value: 30000"),
        ("Service", "spec", _service(ports=[{"port": 80, "appProtocol": "a b"}]),
         "spec.ports[0].appProtocol", "name part must consist of"),
        # Endpoints
        ("Endpoints", "subsets/0/ports", [{"port": 1}, {"port": 2, "name": "b"}],
         "subsets[0].ports[0].name", "Required value"),
        ("Endpoints", "subsets/0/addresses", [{"ip": "::", "hostname": "A", "nodeName": "B"}],
         "subsets[0].addresses[0].ip", "may not be unspecified (::)"),
        ("Endpoints", "subsets/0/addresses", [{"ip": "224.0.0.1"}], "subsets[0].addresses[0].ip",
         "may not be in the link-local multicast range"),
        ("EndpointSlice", "addressType", "FQDN", "", ""),
        ("EndpointSlice", "endpoints", [{"addresses": []}], "endpoints[0].addresses",
         "must contain at least 1 address"),
        ("EndpointSlice", "endpoints", [{"addresses": ["10.0.0.1"] * 101}],
         "endpoints[0].addresses", "Too many: 101: must have at most 100 items"),
        ("EndpointSlice", "endpoints", [{"addresses": ["10.0.0.1"]}] * 1001, "endpoints",
         "Too many: 1001: must have at most 1000 items"),
        ("EndpointSlice", "endpoints/0/hints", {"forZones": [{"name": "a"}, {"name": "a"}]},
         "endpoints[0].hints.forZones[1].name", 'Duplicate value: "a"'),
        ("EndpointSlice", "endpoints/0/hints", {"forZones": [{"name": str(n)} for n in range(9)]},
         "endpoints[0].hints.forZones", "must have at most 8 items"),
        ("EndpointSlice", "endpoints/0/hostname", "a.b", "endpoints[0].hostname",
         "must not contain dots"),
        # Ingresses
        ("Ingress", "spec/rules/0/host", "10.0.0.1", "spec.rules[0].host",
         "must be a DNS name, not an IP address"),
        ("Ingress", "spec/rules/0/host", "*.example.com", "", ""),
        ("Ingress", "spec/rules/0/host", "a.*.com", "spec.rules[0].host",
         "a wildcard DNS-1123 subdomain must start with '*.'"),
        ("Ingress", "spec/rules/0/http/paths", [], "spec.rules[0].http.paths", "Required value"),
        ("Ingress", f"{_PATH}/path", "/a//b", f"{_AT}.path", "must not contain '//'"),
        ("Ingress", f"{_PATH}/path", "/a/..", f"{_AT}.path", "cannot end with '/..'"),
        ("Ingress", f"{_PATH}/pathType", "Glob", f"{_AT}.pathType", 'Unsupported value: "Glob"'),
        ("Ingress", f"{_PATH}/backend", {}, f"{_AT}.backend",
         "resource or service backend is required"),
        ("Ingress", f"{_PATH}/backend/resource", {"kind": "A", "name": "b"}, f"{_AT}.backend",
         "cannot set both resource and service backends"),
        ("Ingress", f"{_PATH}/backend", {"resource": {"apiGroup": "A", "kind": "", "name": "b/c"}},
         f"{_AT}.backend.resource.name", "may not contain '/'"),
        ("Ingress", f"{_PATH}/backend/service", {"name": "", "port": {"name": "a", "number": 1}},
         f"{_AT}.backend", "cannot set both port name & port number"),
        ("Ingress", "spec/tls", [{"hosts": ["A"], "secretName": "B"}], "spec.tls[0].secretName",
         "RFC 1123"),
        ("Ingress", "spec/ingressClassName", "A", "spec.ingressClassName", "RFC 1123"),
        ("Ingress", "spec/defaultBackend", {"service": {"name": "a", "port": {"number": 0}}},
         "spec.defaultBackend", "port name or number is required"),
        ("IngressClass", "spec/controller", "a" * 251, "spec.controller",
         "Too long: may not be more than 250 bytes"),
        ("IngressClass", "spec/parameters", {"kind": "A", "name": "b", "scope": "Namespace"},
         "spec.parameters.namespace", "`parameters.scope` is set to 'Namespace'"),
        ("IngressClass", "spec/parameters", {"kind": "A", "name": "b", "namespace": "c"},
         "spec.parameters.namespace", "`parameters.scope` is set to 'Cluster'"),
        # Policies
        ("NetworkPolicy", f"{_RULE}/ports", [{"port": 80, "endPort": 79}],
         "spec.ingress[0].ports[0].endPort", "must be greater than or equal to `port`"),
        ("NetworkPolicy", f"{_RULE}/ports", [{"port": "http", "endPort": 80}],
         "spec.ingress[0].ports[0].endPort", "may not be specified when `port` is non-numeric"),
        ("NetworkPolicy", f"{_RULE}/ports", [{"endPort": 80}], "spec.ingress[0].ports[0].endPort",
         "may not be specified when `port` is not specified"),
        ("NetworkPolicy", f"{_RULE}/from/0/podSelector", {}, "spec.ingress[0].from[0]",
         "may not specify both ipBlock and another peer"),
        ("NetworkPolicy", f"{_RULE}/from/0/ipBlock", {"cidr": ""},
         "spec.ingress[0].from[0].ipBlock.cidr", "Required value"),
        ("NetworkPolicy", "spec/policyTypes", ["Both"], "spec.policyTypes[0]",
         'Unsupported value: "Both": supported values: "Ingress", "Egress"'),
        # Addresses
        ("ServiceCIDR", "spec/cidrs", ["10.0.0.0/16", "10.1.0.0/16"], "spec.cidrs",
         "may specify no more than one IP for each IP family"),
        ("ServiceCIDR", "spec/cidrs", ["10.0.0.0"], "spec.cidrs[0]", "must be a valid CIDR value"),
        ("IPAddress", "spec/parentRef", {"resource": "", "name": "a/b"}, "spec.parentRef.resource",
         "Required value"),
        # Others
        ("Secret", "type", "kubernetes.io/dockerconfigjson", "data[.dockerconfigjson]",
         "Required value"),
        ("Secret", "type", "kubernetes.io/basic-auth", "", ""),
        ("Secret", "type", "kubernetes.io/ssh-auth", "data[ssh-privatekey]", "Required value"),
        ("Secret", "type", "kubernetes.io/service-account-token",
         "metadata.annotations[kubernetes.io/service-account.name]", "Required value"),
        ("ConfigMap", "binaryData", {"key": ""}, "binaryData[key]", "duplicate of key present"),
        ("Node", "spec/taints", [{"key": "a", "effect": "NoExecute"}] * 2, "spec.taints[1]",
         'Duplicate value: {"key":"a","effect":"NoExecute"}'),
        ("Node", "spec", {"podCIDRs": ["10.0.0.0/24", "10.0.1.0/24"]}, "spec.podCIDRs",
         "may specify no more than one CIDR for each IP family"),
        ("Lease", "spec/preferredHolder", "a", "spec.preferredHolder",
         "may only be specified if `strategy` is defined"),
        ("DaemonSet", "spec/selector", {"matchLabels": {"app": "other"}},
         "spec.template.metadata.labels", "`selector` does not match template `labels`"),
        ("DaemonSet", "spec/updateStrategy", {"type": "Recreate"}, "spec.updateStrategy.type",
         'Unsupported value: "Recreate": supported values: "RollingUpdate", "OnDelete"'),
        ("Deployment", "spec/strategy", {"type": "OnDelete"}, "spec.strategy.type",
         'Unsupported value: "OnDelete"'),
        ("Deployment", "spec/strategy", {"type": "Recreate", "rollingUpdate": {}},
         "spec.strategy.rollingUpdate",
         "may not be specified when strategy `type` is 'Recreate'"),
        ("Deployment", "spec/strategy", {"rollingUpdate": {"maxSurge": "many"}},
         "spec.strategy.rollingUpdate.maxSurge", "a valid percent string must be"),
        ("Deployment", "spec/selector", {"matchExpressions": [
            {"key": "app", "operator": "In", "values": ["web", "api"]},
            {"key": "tier", "operator": "DoesNotExist"},
            {"key": "zone", "operator": "NotIn", "values": ["b"]},
            {"key": "app", "operator": "Exists"}]}, "", ""),
        ("Deployment", "metadata/annotations", {"a": "x" * (1 << 18)}, "metadata.annotations",
         "Too long: may not be more than 262144 bytes"),
        ("Deployment", "metadata/generateName", "A-", "metadata.generateName", "RFC 1123"),
    ],
)  # fmt: skip
def test_mistake(kind: str, path: str, value: Any, field: str, said: str) -> None:
    manifest = changed(kind, path, value)
    causes, _ = schema.validate(manifest, resource_of(manifest), "Strict")
    found = [(cause.field, cause.message) for cause in causes]
    assert any(field == one and said in message for one, message in found) if field else not found


@pytest.mark.parametrize(
    ("item", "field", "said"),
    [
        ({"kind": "Binding", "target": {"name": "n1"}}, "", ""),
        ({"kind": "Binding", "target": {"kind": "Pod"}}, "target.name", "Required value"),
        ({"kind": "Binding", "target": {"kind": "Pod"}}, "target.kind",
         'Unsupported value: "Pod": supported values: "Node", "<empty>"'),
        ({"kind": "Scale", "spec": {"replicas": -1}}, "spec.replicas",
         "Invalid value: -1: must be greater than or equal to 0"),
        ({"kind": "Eviction"}, "", ""),
    ],
)  # fmt: skip
def test_mistake_in_a_request(item: Any, field: str, said: str) -> None:
    found = [(cause.field, cause.message) for cause in mistakes({"apiVersion": "v1", **item})]
    assert ((field, said) in found) if field else not found


def test_a_token_of_an_account_names_it() -> None:
    secret = changed("Secret", "type", "kubernetes.io/service-account-token")
    metadata = {**VALID["Secret"]["metadata"], "annotations": _TYPED}
    named = {**secret, "metadata": metadata}
    assert schema.validate(named, resource_of(named), "Strict")[0] == ()
