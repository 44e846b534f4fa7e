"""A container's environment variables, and its command with them put in.

Source: pkg/kubelet/kubelet_pods.go, makeEnvironmentVariables; third_party/forked/golang/expansion.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from testbed.model.containers import Container, EnvFromSource, EnvVar, EnvVarSource
from testbed.model.objects.pods import Pod
from testbed.model.objects.services import Service
from testbed.model.volumes import ResourceFieldSelector
from testbed.runtime.interface import NotYet

Values = Mapping[str, str]
_REFERENCE = re.compile(r"\$(\$|\(([^()]*)\))")
_KEYED = re.compile(r"metadata\.(labels|annotations)\['(.*)'\]")
_SUFFIXES = {
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", 1)},
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", 1)},
    "m": Decimal("0.001"), "u": Decimal("0.000001"), "n": Decimal("0.000000001"), "": Decimal(1),
}  # fmt: skip
_QUANTITY = re.compile(r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([a-zA-Z]*)")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a container may ask of its cluster."""

    pod_ips: tuple[str, ...]
    host_ips: tuple[str, ...]
    services: tuple[Service, ...]
    """Those of its namespace, and the API's own."""
    keys: Callable[[str, str], Values | None]
    """Of a kind (ConfigMap, Secret) and a name in the pod's namespace: its keys; None: it is not there."""
    capacity: Mapping[str, str]
    """Of the node, which stands in for limits that a container does not have."""


def environment(pod: Pod, container: Container, around: Surroundings) -> dict[str, str]:
    """All variables that the manifest asks for. Raises NotYet where what one refers to is not there."""
    found = service_links(pod, around.services)
    for source in container.env_from:
        found |= _all_keys(source, around)
    for variable in container.env:
        value = _value(variable, pod, container, around, found)
        if value is not None:
            found[variable.name] = value
    return found


def expanded(text: str, values: Values) -> str:
    """With $(NAME) replaced by its value; $$ is a $, and an unknown name stays as it is."""

    def replacement(match: re.Match[str]) -> str:
        if match.group(1) == "$":
            return "$"
        return values.get(match.group(2), match.group(0))

    return _REFERENCE.sub(replacement, text)


def _all_keys(source: EnvFromSource, around: Surroundings) -> dict[str, str]:
    for kind, ref in (("ConfigMap", source.config_map_ref), ("Secret", source.secret_ref)):
        if ref is not None:
            keys = around.keys(kind, ref.name)
            if keys is None and not ref.optional:
                raise NotYet(f'{kind.lower()} "{ref.name}" not found')
            return {f"{source.prefix}{key}": value for key, value in (keys or {}).items()}
    return {}


def _value(
    variable: EnvVar, pod: Pod, container: Container, around: Surroundings, known: Values
) -> str | None:
    """None: an optional key that is not there."""
    source = variable.value_from
    if source is None:
        return expanded(variable.value, known)
    if source.field_ref is not None:
        return field_of(pod, source.field_ref.field_path, around)
    if source.resource_field_ref is not None:
        return resource(pod, container, source.resource_field_ref, around.capacity)
    return _keyed(source, around)


def _keyed(source: EnvVarSource, around: Surroundings) -> str | None:
    for kind, ref in (("ConfigMap", source.config_map_key_ref), ("Secret", source.secret_key_ref)):
        if ref is None:
            continue
        keys = around.keys(kind, ref.name)
        if keys is not None and ref.key in keys:
            return keys[ref.key]
        if ref.optional:
            return None
        if keys is None:
            raise NotYet(f'{kind.lower()} "{ref.name}" not found')
        raise NotYet(f"couldn't find key {ref.key} in {kind} {ref.name}")
    return ""


def field_of(pod: Pod, path: str, around: Surroundings) -> str:
    """A field of the pod. Raises NotYet for one that cannot be referred to."""
    meta, spec = pod.meta, pod.spec
    plain = {
        "metadata.name": meta.name,
        "metadata.namespace": meta.namespace,
        "metadata.uid": meta.uid,
        "metadata.labels": _lines(meta.labels),
        "metadata.annotations": _lines(meta.annotations),
        "spec.nodeName": spec.node_name,
        "spec.serviceAccountName": spec.service_account_name or "default",
        "status.hostIP": next(iter(around.host_ips), ""),
        "status.hostIPs": ",".join(around.host_ips),
        "status.podIP": next(iter(around.pod_ips), ""),
        "status.podIPs": ",".join(around.pod_ips),
    }
    if path in plain:
        return plain[path]
    if keyed := _KEYED.fullmatch(path):
        values = meta.labels if keyed.group(1) == "labels" else meta.annotations
        return values.get(keyed.group(2), "")
    raise NotYet(f"field label not supported: {path}")


def _lines(values: Values) -> str:
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values.values())
    return "\n".join(f'{key}="{value}"' for key, value in sorted(zip(values, quoted, strict=True)))


def resource(
    pod: Pod, container: Container, ref: ResourceFieldSelector, capacity: Mapping[str, str]
) -> str:
    """A quantity in units of the divisor, rounded up. Raises NotYet."""
    every = (*pod.spec.init_containers, *pod.spec.containers)
    of = next((one for one in every if one.name == ref.container_name), container)
    which, _, name = ref.resource.partition(".")
    if which not in ("limits", "requests"):
        raise NotYet(f"resource {ref.resource} is neither limits.… nor requests.…")
    have = of.resources
    asked = {} if have is None else (have.limits if which == "limits" else have.requests)
    quantity = asked.get(name, capacity.get(name, "0") if which == "limits" else "0")
    divisor = _number(str(ref.divisor)) or Decimal(1)
    return str((_number(str(quantity)) / divisor).to_integral_value(ROUND_CEILING))


def _number(quantity: str) -> Decimal:
    match = _QUANTITY.fullmatch(quantity)
    if match is None or match.group(2) not in _SUFFIXES:
        raise NotYet(f"{quantity!r} is no quantity", "as in 250m, 64Mi")
    return Decimal(match.group(1)) * _SUFFIXES[match.group(2)]


def service_links(pod: Pod, services: Iterable[Service]) -> dict[str, str]:
    """Variables as Docker's links had them, of each service that has an address."""
    found: dict[str, str] = {}
    for service in services:
        own = service.meta.namespace == pod.meta.namespace and pod.spec.enable_service_links
        of_api = (service.meta.namespace, service.meta.name) == ("default", "kubernetes")
        if (own or of_api) and service.cluster_ip not in ("", "None") and service.ports:
            found |= _links(service)
    return found


def _links(service: Service) -> dict[str, str]:
    name = _variable(service.meta.name)
    address, first = service.cluster_ip, service.ports[0]
    host = f"[{address}]" if ":" in address else address
    url = f"{first.protocol.lower()}://{host}:{first.port}"
    found = {
        f"{name}_SERVICE_HOST": address,
        f"{name}_SERVICE_PORT": str(first.port),
        f"{name}_PORT": url,
    }
    for port in service.ports:
        if port.name:
            found[f"{name}_SERVICE_PORT_{_variable(port.name)}"] = str(port.port)
        prefix = f"{name}_PORT_{port.port}_{port.protocol}"
        found |= {
            prefix: f"{port.protocol.lower()}://{host}:{port.port}",
            f"{prefix}_PROTO": port.protocol.lower(),
            f"{prefix}_PORT": str(port.port),
            f"{prefix}_ADDR": address,
        }
    return found


def _variable(name: str) -> str:
    return name.upper().replace("-", "_")
