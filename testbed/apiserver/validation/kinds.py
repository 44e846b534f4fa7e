"""Which rules hold for which kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from testbed.apiserver.failure import Cause
from testbed.apiserver.validation.data import (
    config_map,
    config_map_update,
    secret,
    secret_update,
)
from testbed.apiserver.validation.endpoints import (
    address_type_stays,
    endpoint_slice,
    endpoints,
)
from testbed.apiserver.validation.events import event, event_created, event_update
from testbed.apiserver.validation.formats import (
    Format,
    canonical_ip,
    dns_1035_label,
    dns_label,
    dns_subdomain,
    path_segment,
)
from testbed.apiserver.validation.metadata import metadata, metadata_update
from testbed.apiserver.validation.network_policy import network_policy
from testbed.apiserver.validation.networking import (
    controller_stays,
    ingress,
    ingress_class,
    ingress_created,
    ip_address_object,
    parent_stays,
    ranges_stay,
    service_cidr,
)
from testbed.apiserver.validation.node import node, node_update
from testbed.apiserver.validation.place import Place
from testbed.apiserver.validation.pod import pod, pod_created
from testbed.apiserver.validation.pod_update import pod_update
from testbed.apiserver.validation.requests import binding, lease, scale
from testbed.apiserver.validation.service import service, service_update
from testbed.apiserver.validation.workloads import (
    daemon_set,
    deployment,
    replica_set,
    selector_stays,
)

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rules:
    """Of one kind."""

    check: Callable[[Place], None] | None = None
    """What it must be."""
    name: Format | None = dns_subdomain
    """What its name looks like; None: it has none of its own."""
    created: Callable[[Place], None] | None = None
    """What else a new one must be."""
    update: Callable[[Place, Json], None] | None = None
    """What of it must stay as it was."""


RULES: dict[str, Rules] = {
    "Binding": Rules(binding, None),
    "ConfigMap": Rules(config_map, update=config_map_update),
    "DaemonSet": Rules(daemon_set, update=selector_stays),
    "Deployment": Rules(deployment, update=selector_stays),
    "Endpoints": Rules(endpoints),
    "EndpointSlice": Rules(endpoint_slice, update=address_type_stays),
    "Event": Rules(event, path_segment, event_created, event_update),
    "Eviction": Rules(name=None),
    "IPAddress": Rules(ip_address_object, canonical_ip, update=parent_stays),
    "Ingress": Rules(ingress, created=ingress_created),
    "IngressClass": Rules(ingress_class, update=controller_stays),
    "Lease": Rules(lease),
    "Namespace": Rules(None, dns_label),
    "NetworkPolicy": Rules(network_policy),
    "Node": Rules(node, update=node_update),
    "Pod": Rules(pod, created=pod_created, update=pod_update),
    "ReplicaSet": Rules(replica_set, update=selector_stays),
    "Scale": Rules(scale, None),
    "Secret": Rules(secret, update=secret_update),
    "SelfSubjectAccessReview": Rules(name=None),
    "SelfSubjectReview": Rules(name=None),
    "SelfSubjectRulesReview": Rules(name=None),
    "Service": Rules(service, dns_1035_label, update=service_update),
    "ServiceAccount": Rules(),
    "ServiceCIDR": Rules(service_cidr, update=ranges_stay),
}


def mistakes(item: Json, old: Json | None = None) -> tuple[Cause, ...]:
    """Every mistake in an object, whose defaults are filled in and which is to be created, or to replace
    `old`.
    """
    rules = RULES[item["kind"]]
    place = Place(item, "", [])
    if old is not None:
        metadata_update(place, old)
        if rules.update is not None:
            rules.update(place, old)
    else:
        metadata(place, rules.name)
        if rules.created is not None:
            rules.created(place)
    if rules.check is not None:
        rules.check(place)
    return tuple(dict.fromkeys(place.causes))
