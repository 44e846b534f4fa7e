"""What Kubernetes fills in where a client says nothing: by the type of each part of an object.

Source: `pkg/apis/*/v1/defaults.go`, the kinds' strategies (PrepareForCreate) and the admission plug-in
Priority. Addresses and node ports are allocated elsewhere.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

from testbed.apiserver.definitions import Definitions, Json
from testbed.model.containers import default_pull_policy

_Object = dict[str, Any]

_CORE, _APPS = "io.k8s.api.core.v1.", "io.k8s.api.apps.v1."
_DISCOVERY, _NETWORKING = "io.k8s.api.discovery.v1.", "io.k8s.api.networking.v1."
_FILES = {"defaultMode": 0o644}

_CONSTANTS: Mapping[str, Json] = {
    _CORE + "ContainerPort": {"protocol": "TCP"},
    _CORE + "EndpointPort": {"protocol": "TCP"},
    _CORE + "ServicePort": {"protocol": "TCP"},
    _CORE + "Container": {
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    },
    _CORE + "HTTPGetAction": {"path": "/", "scheme": "HTTP"},
    _CORE + "PodSpec": {
        "dnsPolicy": "ClusterFirst",
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "terminationGracePeriodSeconds": 30,
    },
    _CORE + "ObjectFieldSelector": {"apiVersion": "v1"},
    _CORE + "SecretVolumeSource": _FILES,
    _CORE + "ConfigMapVolumeSource": _FILES,
    _CORE + "DownwardAPIVolumeSource": _FILES,
    _CORE + "ProjectedVolumeSource": _FILES,
    _CORE + "ServiceAccountTokenProjection": {"expirationSeconds": 3600},
    _CORE + "Secret": {"type": "Opaque"},
    _CORE + "NamespaceStatus": {"phase": "Active"},
    _APPS + "DeploymentSpec": {
        "replicas": 1,
        "revisionHistoryLimit": 10,
        "progressDeadlineSeconds": 600,
    },
    _APPS + "ReplicaSetSpec": {"replicas": 1},
    _APPS + "DaemonSetSpec": {"revisionHistoryLimit": 10},
    _APPS + "RollingUpdateDeployment": {"maxUnavailable": "25%", "maxSurge": "25%"},
    _APPS + "RollingUpdateDaemonSet": {"maxUnavailable": 1, "maxSurge": 0},
    _NETWORKING + "NetworkPolicyPort": {"protocol": "TCP"},
    _NETWORKING + "IngressClassParametersReference": {"scope": "Cluster"},
}
"""By type: fields that are filled in where they are absent or ""."""

_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
"""Of probes 0 counts as absent, too."""

_PARTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    _CORE + "Container": {"resources": ()},
    _CORE + "PodSpec": {"securityContext": ()},
    _CORE + "Service": {"spec": (), "status": ("loadBalancer",)},
    _CORE + "Namespace": {"spec": (), "status": ()},
    _APPS + "DeploymentSpec": {"strategy": ()},
    _APPS + "DaemonSetSpec": {"updateStrategy": ()},
}
"""By type: parts that are there even where they are empty, and what is in them."""


def _service(service: _Object) -> None:
    spec = service["spec"]
    spec["type"] = spec.get("type") or "ClusterIP"
    spec["sessionAffinity"] = spec.get("sessionAffinity") or "None"
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    elif spec["sessionAffinity"] == "ClientIP":
        client = spec.get("sessionAffinityConfig", {}).get("clientIP", {})
        if client.get("timeoutSeconds") is None:
            spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": 10800}}
    external = spec["type"] in {"NodePort", "LoadBalancer"}
    if (external or spec.get("externalIPs")) and not spec.get("externalTrafficPolicy"):
        spec["externalTrafficPolicy"] = "Cluster"
    if external or spec["type"] == "ClusterIP":
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if spec["type"] == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
        for ingress in service["status"]["loadBalancer"].get("ingress", ()):
            if ingress.get("ip"):
                ingress.setdefault("ipMode", "VIP")


def _service_port(port: _Object) -> None:
    if port.get("targetPort", "") in {0, ""} and "port" in port:
        port["targetPort"] = port["port"]


def _container(container: _Object) -> None:
    container["imagePullPolicy"] = container.get("imagePullPolicy") or _pull_policy(container)


def _pull_policy(container: Json) -> str:
    return default_pull_policy(container.get("image", ""))


def _probe(probe: _Object) -> None:
    for key, value in _PROBE.items():
        probe[key] = probe.get(key) or value


def _volume(volume: _Object) -> None:
    if volume.keys() <= {"name"}:
        volume["emptyDir"] = {}


def _host_path(source: _Object) -> None:
    source.setdefault("type", "")


def _containers(spec: _Object) -> list[_Object]:
    return [*spec.get("containers", ()), *spec.get("initContainers", ())]


def _pod(pod: _Object) -> None:
    spec = pod.get("spec")
    if spec is None:
        return
    spec.setdefault("enableServiceLinks", True)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    spec.setdefault("priority", 0)
    for container in _containers(spec):
        if spec.get("hostNetwork"):
            for port in container.get("ports", ()):
                port["hostPort"] = port.get("hostPort") or port.get("containerPort")
        limits = container.get("resources", {}).get("limits")
        if limits:
            requests = container["resources"].get("requests", {})
            container["resources"]["requests"] = {**limits, **requests}


def _strategy(strategy: _Object) -> None:
    strategy["type"] = strategy.get("type") or "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        strategy.setdefault("rollingUpdate", {})


def _namespace(namespace: _Object) -> None:
    name = namespace.get("metadata", {}).get("name")
    if name:
        labels = namespace["metadata"].get("labels", {})
        namespace["metadata"]["labels"] = {**labels, "kubernetes.io/metadata.name": name}
    namespace["spec"].setdefault("finalizers", ["kubernetes"])


def _secret(secret: _Object) -> None:
    texts = secret.pop("stringData", {})
    if texts:
        written = {key: b64encode(text.encode()).decode() for key, text in texts.items()}
        secret["data"] = {**secret.get("data", {}), **written}


def _network_policy_spec(spec: _Object) -> None:
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", *(["Egress"] if spec.get("egress") else [])]


def _slice_port(port: _Object) -> None:
    port.setdefault("name", "")
    port.setdefault("protocol", "TCP")


_BEFORE: Mapping[str, Callable[[_Object], None]] = {
    _CORE + "Volume": _volume,
    _APPS + "DeploymentStrategy": _strategy,
    _APPS + "DaemonSetUpdateStrategy": _strategy,
}
"""What makes parts that have defaults of their own."""
_AFTER: Mapping[str, Callable[[_Object], None]] = {
    _CORE + "Service": _service,
    _CORE + "ServicePort": _service_port,
    _CORE + "Container": _container,
    _CORE + "Probe": _probe,
    _CORE + "HostPathVolumeSource": _host_path,
    _CORE + "Pod": _pod,
    _CORE + "Namespace": _namespace,
    _CORE + "Secret": _secret,
    _DISCOVERY + "EndpointPort": _slice_port,
    _NETWORKING + "NetworkPolicySpec": _network_policy_spec,
}


_Ways = Mapping[str, tuple[str, bool]]
"""Fields by name: the type of the value or of its items, and whether it is a list."""
_CHANGED_FROM_ABOVE = (
    _CORE + "LoadBalancerIngress",
    "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
)
"""Types that functions of other types fill in."""


@cache
def _ways(definitions: Definitions) -> Mapping[str, _Ways]:
    """Of each type in which, or below which, something is filled in: the fields that lead there. Most of an
    object is nowhere near.
    """
    found: dict[str, dict[str, tuple[str, bool]]] = {
        name: {} for name in (*_PARTS, *_CONSTANTS, *_BEFORE, *_AFTER, *_CHANGED_FROM_ABOVE)
    }
    size = -1
    while size != (size := sum(map(len, found.values()))):
        for name, schema in definitions.schemas.items():
            for key, inside in schema.get("properties", {}).items():
                inner = inside.get("$ref") or inside.get("items", {}).get("$ref")
                if inner in found:
                    found.setdefault(name, {})[key] = (inner, "$ref" not in inside)
    return found


def filled_in(value: Any, name: str, definitions: Definitions) -> Any:
    """A value of type `name`, which has been decoded, with what it does not say. What has no defaults in it is
    the value's own.
    """
    ways = _ways(definitions).get(name)
    if ways is None or not isinstance(value, Mapping):
        return value
    full: _Object = dict(value)
    for key, inside in _PARTS.get(name, {}).items():
        full[key] = {**{inner: {} for inner in inside}, **full.get(key, {})}
    if name in _BEFORE:
        _BEFORE[name](full)
    _below(full, ways, partial(filled_in, definitions=definitions))
    for key, default in _CONSTANTS.get(name, {}).items():
        if full.get(key, "") == "":
            full[key] = default
    if name in _AFTER:
        _AFTER[name](full)
    return full


def _below(value: _Object, ways: _Ways, done: Callable[[Any, str], Any]) -> None:
    """Have it done with the fields of a value that lead to something."""
    for key in value.keys() & ways.keys():
        inner, is_list = ways[key]
        below = value[key]
        if not is_list:
            value[key] = done(below, inner)
        elif isinstance(below, list):
            value[key] = [done(item, inner) for item in below]


def unsaid(value: Any, name: str, definitions: Definitions) -> Any:
    """A value of type `name` without what would be filled in as it is: constants, empty parts, a container's
    pull policy. What `filled_in` makes of both is the same.
    """
    ways = _ways(definitions).get(name)
    if ways is None or not isinstance(value, Mapping):
        return value
    lean: _Object = dict(value)
    _below(lean, ways, partial(unsaid, definitions=definitions))
    constants = {**_CONSTANTS.get(name, {}), **(_PROBE if name == _CORE + "Probe" else {})}
    same = [key for key, default in constants.items() if lean.get(key) == default]
    same += [key for key in _PARTS.get(name, {}) if lean.get(key) == {}]
    if name == _CORE + "Container" and lean.get("imagePullPolicy") == _pull_policy(lean):
        same.append("imagePullPolicy")
    return {key: inner for key, inner in lean.items() if key not in same}
