"""A cache of names on every node, as NodeLocal DNSCache: what a topology says of it, and its objects.

Source: kubernetes/kubernetes, cluster/addons/dns/nodelocaldns/nodelocaldns.yaml.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from testbed.ip import FAMILY_NAMES, family_of
from testbed.model.containers import Container, ContainerPort, HTTPGetAction, Probe
from testbed.model.documents import ConfigMap
from testbed.model.label_selector import LabelSelector
from testbed.model.node_local_corefile import COREFILE, HEALTH_PORT, METRICS_PORT
from testbed.model.objects.metadata import Object, ObjectMeta
from testbed.model.objects.pods import PodSpec
from testbed.model.objects.services import Service, ServicePort
from testbed.model.objects.workloads import DaemonSet, PodTemplate
from testbed.model.scalars import Address
from testbed.model.scheduling import Toleration
from testbed.model.strict import Strict

IMAGE = "testbed/node-cache"
NAMESPACE, NAME, UPSTREAM = "kube-system", "node-local-dns", "kube-dns-upstream"
LOCAL = {4: "169.254.20.10", 6: "fd00:169:254:20::10"}
"""Where caches listen, by IP family: the same on every node."""
COREFILE_KEY = "Corefile"
"""In the ConfigMap of that name."""
_LABELS = {"k8s-app": NAME}


class NodeLocal(Strict):
    """A caching DNS server on every node, which pods ask instead of the cluster's."""

    address: Address | None = Field(
        None, description="where it listens on every node (169.254.20.10, or fd00:169:254:20::10)"
    )

    def listens(self, families: tuple[int, ...]) -> str:
        """Its address, where a cluster has these IP families."""
        return self.address or LOCAL[families[0]]


def _true_or_nothing(value: Any) -> Any:
    """`nodeLocal: true` is in short a mapping without keys, false one that is left out."""
    if value is not None and not isinstance(value, bool | dict | NodeLocal):
        raise ValueError(f"must be true, or a mapping like {{address: {LOCAL[4]}}}")
    if value is True:
        return {}
    return None if value is False else value


NodeLocalKey = Annotated[
    NodeLocal | None,
    BeforeValidator(_true_or_nothing, json_schema_input_type=bool | NodeLocal | None),
]


def node_local_objects(
    node_local: NodeLocal, families: tuple[int, ...], dns_labels: dict[str, str]
) -> Iterator[Object]:
    """The caches' ConfigMap and DaemonSet, and the service by which they find the cluster's servers."""
    local = node_local.listens(families)
    corefile = {"data": {COREFILE_KEY: COREFILE}}
    yield ConfigMap(ObjectMeta(NAME, NAMESPACE, rest=corefile))
    container = Container(
        "node-cache",
        IMAGE,
        (
            ContainerPort(53, "dns", "UDP"),
            ContainerPort(53, "dns-tcp", "TCP"),
            ContainerPort(METRICS_PORT, "metrics", "TCP"),
        ),
        args=("-localip", local, "-upstreamsvc", UPSTREAM),
        readiness_probe=Probe(HTTPGetAction("/health", HEALTH_PORT, local), period_s=1.0),
        liveness_probe=Probe(
            HTTPGetAction("/health", HEALTH_PORT, local), initial_delay_s=60.0, timeout_s=5.0
        ),
    )
    spec = PodSpec(
        (container,),
        host_network=True,
        dns_policy="Default",
        tolerations=(
            Toleration("CriticalAddonsOnly", "Exists"),
            Toleration(operator="Exists", effect="NoExecute"),
        ),
    )
    yield DaemonSet(
        ObjectMeta(NAME, NAMESPACE, labels=_LABELS),
        LabelSelector(_LABELS),
        PodTemplate(_LABELS, spec),
    )
    yield Service(
        ObjectMeta(UPSTREAM, NAMESPACE, labels=dns_labels),
        ports=(ServicePort(53, "dns", "UDP", 53), ServicePort(53, "dns-tcp", "TCP", 53)),
        selector=dns_labels,
        ip_families=(FAMILY_NAMES[family_of(local)],),
    )
