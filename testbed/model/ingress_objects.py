"""A topology's `ingress:` as the Kubernetes objects it stands for."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.model.containers import Container, ContainerPort, HTTPGetAction, Probe
from testbed.model.documents import IngressClass
from testbed.model.ingress import Ingress
from testbed.model.label_selector import LabelSelector
from testbed.model.objects.metadata import Object, ObjectMeta
from testbed.model.objects.pods import PodSpec
from testbed.model.objects.services import Service, ServicePort
from testbed.model.objects.workloads import ORDINAL_NAMES_ANNOTATION, Deployment, PodTemplate

NAMESPACE, NAME = "ingress-system", "haproxy-ingress"
IMAGE = "testbed/haproxy-ingress"
HEALTH_PORT, STATS_PORT = 1042, 1024
"""Those of HAProxy Technologies' controller."""
DEFAULT_CLASS_ANNOTATION = "ingressclass.kubernetes.io/is-default-class"
_LABELS = {"app.kubernetes.io/name": NAME}
_IN_POD = 80, 443


def ingress_objects(
    ingress: Ingress | None, probe_period_s: float, families: int
) -> Iterator[Object]:
    """The class, the controller's Deployment and, unless it is reached at its nodes, its service; nothing
    without `ingress:`. `families`: how many IP families the cluster has.
    """
    if ingress is None:
        return
    yield _class(ingress)
    yield _deployment(ingress, probe_period_s)
    if ingress.expose != "hostNetwork":
        yield _service(ingress, families)


def _class(ingress: Ingress) -> IngressClass:
    default = {DEFAULT_CLASS_ANNOTATION: "true"} if ingress.default else {}
    body = {"spec": {"controller": ingress.controller}}
    return IngressClass(ObjectMeta(ingress.class_name, annotations=default, rest=body))


def _deployment(ingress: Ingress, probe_period_s: float) -> Deployment:
    http, https = _ports(ingress)
    container = Container(
        NAME,
        IMAGE,
        (
            ContainerPort(http, "http"),
            ContainerPort(https, "https"),
            ContainerPort(HEALTH_PORT, "healthz"),
            ContainerPort(STATS_PORT, "stat"),
        ),
        args=tuple(_arguments(ingress)),
        readiness_probe=Probe(HTTPGetAction("/healthz", HEALTH_PORT), period_s=probe_period_s),
    )
    return Deployment(
        meta=ObjectMeta(
            NAME, NAMESPACE, labels=_LABELS, annotations={ORDINAL_NAMES_ANNOTATION: "ordinal"}
        ),
        replicas=ingress.replicas,
        selector=LabelSelector(_LABELS),
        template=PodTemplate(
            _LABELS,
            PodSpec(
                (container,),
                node_selector=ingress.node_selector,
                host_network=ingress.expose == "hostNetwork",
            ),
        ),
    )


def _ports(ingress: Ingress) -> tuple[int, int]:
    """What its pods listen on."""
    if ingress.expose == "hostNetwork":
        return ingress.http_port, ingress.https_port
    return _IN_POD


def _arguments(ingress: Ingress) -> Iterator[str]:
    http, https = _ports(ingress)
    outside = ingress.node_ports.https if ingress.expose == "NodePort" else ingress.https_port
    yield f"--controller={ingress.controller}"
    yield f"--http-port={http}"
    yield f"--https-port={https}"
    yield f"--redirect-port={outside}"
    yield f"--balance={ingress.balance}"
    yield f"--threads={ingress.threads}"
    yield f"--server-slots={ingress.server_slots}"
    yield f"--check-interval={ingress.check_interval_s:g}s"
    yield f"--sync-period={ingress.sync_period_s:g}s"
    if ingress.expose != "hostNetwork":
        yield f"--publish-service={NAMESPACE}/{NAME}"


def _service(ingress: Ingress, families: int) -> Service:
    is_inside = ingress.expose == "ClusterIP"
    http, https = _IN_POD
    nodes = (0, 0) if is_inside else (ingress.node_ports.http, ingress.node_ports.https)
    return Service(
        meta=ObjectMeta(NAME, NAMESPACE, labels=_LABELS),
        ports=(
            ServicePort(ingress.http_port, "http", "TCP", http, nodes[0]),
            ServicePort(ingress.https_port, "https", "TCP", https, nodes[1]),
        ),
        selector=_LABELS,
        type=ingress.expose,
        external_traffic_policy="Cluster" if is_inside else ingress.external_traffic_policy,
        ip_family_policy="PreferDualStack" if families > 1 else "SingleStack",
    )
