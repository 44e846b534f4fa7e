"""The cells of `kubectl get`: an object as it is served, and the time (s of the Unix epoch) -> its row.

Source: Kubernetes' `pkg/printers/internalversion/printers.go`, whose words these are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from testbed.apiserver.ages import ago
from testbed.apiserver.resources import Json

NONE, UNKNOWN, UNSET = "<none>", "<unknown>", "<unset>"
_ROLE_LABEL, _ROLES_PREFIX = "kubernetes.io/role", "node-role.kubernetes.io/"
_SOME = 3
"""Of many things, so many are told."""


def node(item: Json, now_s: float) -> list[Any]:
    """See `columns.KINDS`, here and below."""
    status, info = _status(item), _status(item).get("nodeInfo", {})
    state = next(
        (
            "Ready" if one.get("status") == "True" else "NotReady"
            for one in status.get("conditions", ())
            if one.get("type") == "Ready"
        ),
        "Unknown",
    )
    if _spec(item).get("unschedulable"):
        state += ",SchedulingDisabled"
    return [
        _name(item),
        state,
        ",".join(sorted(_roles(item["metadata"].get("labels") or {}))) or NONE,
        _age(item, now_s),
        info.get("kubeletVersion", ""),
        _address(status, "InternalIP"),
        _address(status, "ExternalIP"),
        *(
            info.get(key) or UNKNOWN
            for key in ("osImage", "kernelVersion", "containerRuntimeVersion")
        ),
    ]


def _roles(labels: Mapping[str, str]) -> Iterable[str]:
    for key, value in labels.items():
        if key.startswith(_ROLES_PREFIX) and len(key) > len(_ROLES_PREFIX):
            yield key.removeprefix(_ROLES_PREFIX)
        elif key == _ROLE_LABEL and value:
            yield value


def _address(status: Json, kind: str) -> str:
    found = (one["address"] for one in status.get("addresses", ()) if one.get("type") == kind)
    return next(found, NONE)


def namespace(item: Json, now_s: float) -> list[Any]:
    return [_name(item), _status(item).get("phase", ""), _age(item, now_s)]


def service(item: Json, now_s: float) -> list[Any]:
    spec = _spec(item)
    ports = [_service_port(port) for port in spec.get("ports", ())]
    return [
        _name(item),
        spec.get("type", ""),
        spec.get("clusterIP") or NONE,
        _external_ip(item),
        ",".join(ports) or NONE,
        _age(item, now_s),
        _equalities(spec.get("selector")),
    ]


def _service_port(port: Json) -> str:
    protocol = port.get("protocol", "TCP")
    node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port['port']}{node_port}/{protocol}"


def _external_ip(item: Json) -> str:
    spec = _spec(item)
    external = list(spec.get("externalIPs") or ())
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName", ""))
    if spec.get("type") == "LoadBalancer":
        return ",".join([*_ingress_points(item), *external]) or "<pending>"
    return ",".join(external) or NONE


def _ingress_points(item: Json) -> list[str]:
    points = _status(item).get("loadBalancer", {}).get("ingress") or ()
    return list(dict.fromkeys(one.get("ip") or one.get("hostname", "") for one in points))


def endpoints(item: Json, now_s: float) -> list[Any]:
    found = []
    for subset in item.get("subsets") or ():
        addresses = [one["ip"] for one in subset.get("addresses") or ()]
        ports = subset.get("ports") or ()
        if ports:
            found += [_socket(ip, port["port"]) for port in ports for ip in addresses]
        else:
            found += addresses
    return [_name(item), _some(found, ",") or NONE, _age(item, now_s)]


def _socket(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def endpoint_slice(item: Json, now_s: float) -> list[Any]:
    ports = [str(port.get("port", "*")) for port in item.get("ports") or ()]
    addresses = [ip for one in item.get("endpoints") or () for ip in one.get("addresses", ())]
    return [
        _name(item),
        item.get("addressType", ""),
        _some(ports, ",") or UNSET,
        _some(addresses, ",") or UNSET,
        _age(item, now_s),
    ]


def deployment(item: Json, now_s: float) -> list[Any]:
    status = _status(item)
    ready = f"{status.get('readyReplicas', 0)}/{_spec(item).get('replicas', 1)}"
    counts = [status.get("updatedReplicas", 0), status.get("availableReplicas", 0)]
    return [_name(item), ready, *counts, _age(item, now_s), *_template(item)]


def replica_set(item: Json, now_s: float) -> list[Any]:
    status = _status(item)
    counts = [
        _spec(item).get("replicas", 1),
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
    ]
    return [_name(item), *counts, _age(item, now_s), *_template(item)]


_DAEMON_COUNTS = (
    "desiredNumberScheduled",
    "currentNumberScheduled",
    "numberReady",
    "updatedNumberScheduled",
    "numberAvailable",
)


def daemon_set(item: Json, now_s: float) -> list[Any]:
    counts = [_status(item).get(key, 0) for key in _DAEMON_COUNTS]
    nodes = _equalities(_spec(item).get("template", {}).get("spec", {}).get("nodeSelector"))
    return [_name(item), *counts, nodes, _age(item, now_s), *_template(item)]


def _template(item: Json) -> list[str]:
    spec = _spec(item)
    containers = spec.get("template", {}).get("spec", {}).get("containers", ())
    names = ",".join(one.get("name", "") for one in containers)
    images = ",".join(one.get("image", "") for one in containers)
    return [names, images, label_selector(spec.get("selector") or {})]


def config_map(item: Json, now_s: float) -> list[Any]:
    entries = len(item.get("data") or ()) + len(item.get("binaryData") or ())
    return [_name(item), entries, _age(item, now_s)]


def secret(item: Json, now_s: float) -> list[Any]:
    return [_name(item), item.get("type", ""), len(item.get("data") or ()), _age(item, now_s)]


def service_account(item: Json, now_s: float) -> list[Any]:
    return [_name(item), len(item.get("secrets") or ()), _age(item, now_s)]


def event(item: Json, now_s: float) -> list[Any]:
    """Of either form of an event."""
    series = item.get("series") or {}
    first = (
        item.get("firstTimestamp") or item.get("deprecatedFirstTimestamp") or item.get("eventTime")
    )
    last = item.get("lastTimestamp") or item.get("deprecatedLastTimestamp") or first
    subject = item.get("involvedObject") or item.get("regarding") or {}
    count = series.get("count") or item.get("count") or item.get("deprecatedCount") or 1
    return [
        ago(series.get("lastObservedTime") or last, now_s),
        item.get("type", ""),
        item.get("reason", ""),
        f"{subject.get('kind', '').lower()}/{subject.get('name', '')}",
        subject.get("fieldPath", ""),
        _source(item),
        (item.get("message") or item.get("note") or "").strip(),
        ago(first, now_s),
        count,
        _name(item),
    ]


def _source(item: Json) -> str:
    source = item.get("source") or item.get("deprecatedSource") or {}
    component = source.get("component") or item.get("reportingComponent")
    component = component or item.get("reportingController") or ""
    host = source.get("host") or item.get("reportingInstance") or ""
    return ", ".join(filter(None, (component, host)))


def lease(item: Json, now_s: float) -> list[Any]:
    return [_name(item), _spec(item).get("holderIdentity", ""), _age(item, now_s)]


def ingress(item: Json, now_s: float) -> list[Any]:
    spec = _spec(item)
    hosts = [one["host"] for one in spec.get("rules") or () if one.get("host")]
    return [
        _name(item),
        spec.get("ingressClassName") or NONE,
        _some(hosts, ",") or "*",
        ",".join(_ingress_points(item)),
        "80, 443" if spec.get("tls") else "80",
        _age(item, now_s),
    ]


def ingress_class(item: Json, now_s: float) -> list[Any]:
    spec = _spec(item)
    reference = spec.get("parameters")
    parameters = NONE
    if reference:
        group = f".{reference['apiGroup']}" if reference.get("apiGroup") else ""
        parameters = f"{reference.get('kind', '')}{group}/{reference.get('name', '')}"
    return [_name(item), spec.get("controller", ""), parameters, _age(item, now_s)]


def network_policy(item: Json, now_s: float) -> list[Any]:
    return [_name(item), label_selector(_spec(item).get("podSelector") or {}), _age(item, now_s)]


def service_cidr(item: Json, now_s: float) -> list[Any]:
    return [_name(item), ",".join(_spec(item).get("cidrs") or ()), _age(item, now_s)]


def ip_address(item: Json, now_s: float) -> list[Any]:
    parent = _spec(item).get("parentRef") or {}
    resource = ".".join(filter(None, (parent.get("resource"), parent.get("group"))))
    path = "/".join(filter(None, (resource, parent.get("namespace"), parent.get("name"))))
    return [_name(item), path or NONE, _age(item, now_s)]


# Parts


def label_selector(selector: Mapping[str, Any]) -> str:
    """A LabelSelector in a selector's own spelling: `app=web,tier in (a,b)`."""
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for one in selector.get("matchExpressions") or ():
        parts.append(_expression(one["key"], one.get("operator", ""), one.get("values") or ()))
    return ",".join(parts) or NONE


def _expression(key: str, operator: str, values: Sequence[str]) -> str:
    if operator in {"Exists", "DoesNotExist"}:
        return key if operator == "Exists" else f"!{key}"
    return f"{key} {operator.lower()} ({','.join(sorted(values))})"


def _equalities(selector: Mapping[str, str] | None) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted((selector or {}).items())) or NONE


def _some(found: Sequence[str], comma: str) -> str:
    told = comma.join(found[:_SOME])
    return f"{told} + {len(found) - _SOME} more..." if len(found) > _SOME else told


def _name(item: Json) -> str:
    return str(item["metadata"]["name"])


def _age(item: Json, now_s: float) -> str:
    return ago(item["metadata"].get("creationTimestamp"), now_s)


def _spec(item: Json) -> Json:
    return item.get("spec") or {}


def _status(item: Json) -> Json:
    return item.get("status") or {}
