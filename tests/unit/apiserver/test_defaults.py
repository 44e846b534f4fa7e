"""What Kubernetes fills in where a client says nothing."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, cast

import pytest

from testbed.apiserver import schema
from testbed.model.manifest import from_client

from .objects import VALID, changed

_CONTAINER = "spec/containers/0"
_ROLLING = "spec/strategy/rollingUpdate"
_PULL = f"{_CONTAINER}/imagePullPolicy"


def _at(value: Any, path: str) -> Any:
    """What is at a path; None where nothing is."""
    for part in path.split("/"):
        if isinstance(value, list):
            value = value[int(part)] if int(part) < len(value) else None
        else:
            value = (value or {}).get(part)
    return value


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Service", "spec/type", "ClusterIP"),
        ("Service", "spec/sessionAffinity", "None"),
        ("Service", "spec/internalTrafficPolicy", "Cluster"),
        ("Service", "spec/externalTrafficPolicy", None),
        ("Service", "spec/ports/0/protocol", "TCP"),
        ("Service", "spec/ipFamilyPolicy", None),
        ("Service", "status/loadBalancer", {}),
        ("Pod", "spec/restartPolicy", "Always"),
        ("Pod", "spec/dnsPolicy", "ClusterFirst"),
        ("Pod", "spec/schedulerName", "default-scheduler"),
        ("Pod", "spec/terminationGracePeriodSeconds", 30),
        ("Pod", "spec/enableServiceLinks", True),
        ("Pod", "spec/securityContext", {}),
        ("Pod", "spec/priority", 0),
        ("Pod", "spec/volumes/0/configMap/defaultMode", 0o644),
        ("Pod", f"{_CONTAINER}/terminationMessagePath", "/dev/termination-log"),
        ("Pod", f"{_CONTAINER}/terminationMessagePolicy", "File"),
        ("Pod", f"{_CONTAINER}/ports/0/protocol", "TCP"),
        ("Pod", f"{_CONTAINER}/ports/0/hostPort", None),
        ("Pod", f"{_CONTAINER}/env/0/valueFrom/fieldRef/apiVersion", "v1"),
        ("Pod", f"{_CONTAINER}/readinessProbe/timeoutSeconds", 1),
        ("Pod", f"{_CONTAINER}/readinessProbe/periodSeconds", 10),
        ("Pod", f"{_CONTAINER}/readinessProbe/successThreshold", 1),
        ("Pod", f"{_CONTAINER}/readinessProbe/failureThreshold", 3),
        ("Pod", f"{_CONTAINER}/readinessProbe/httpGet/scheme", "HTTP"),
        ("Pod", f"{_CONTAINER}/resources/requests", {"cpu": "100m", "memory": "64Mi"}),
        ("Pod", _PULL, "IfNotPresent"),
        ("Pod", "spec/initContainers/0/imagePullPolicy", "Always"),
        ("Pod", "spec/initContainers/0/resources", {}),
        ("Deployment", "spec/revisionHistoryLimit", 10),
        ("Deployment", "spec/progressDeadlineSeconds", 600),
        ("Deployment", "spec/strategy/type", "RollingUpdate"),
        ("Deployment", f"{_ROLLING}/maxSurge", "25%"),
        ("Deployment", f"{_ROLLING}/maxUnavailable", "25%"),
        ("Deployment", "spec/template/spec/restartPolicy", "Always"),
        ("Deployment", "spec/template/spec/tolerations", None),
        ("Deployment", "spec/template/spec/enableServiceLinks", None),
        ("ReplicaSet", "spec/replicas", 1),
        ("DaemonSet", "spec/updateStrategy/type", "RollingUpdate"),
        ("DaemonSet", "spec/updateStrategy/rollingUpdate", {"maxUnavailable": 1, "maxSurge": 0}),
        ("Namespace", "metadata/labels", {"kubernetes.io/metadata.name": "web"}),
        ("Namespace", "spec/finalizers", ["kubernetes"]),
        ("Namespace", "status/phase", "Active"),
        ("Secret", "type", "Opaque"),
        ("Secret", "data/password", "c3dvcmRmaXNo"),
        ("Secret", "stringData", None),
        ("Endpoints", "subsets/0/ports/0/protocol", "TCP"),
        ("EndpointSlice", "ports/0/protocol", "TCP"),
        ("NetworkPolicy", "spec/policyTypes", ["Ingress"]),
    ],
)
def test_default(kind: str, path: str, value: Any) -> None:
    assert _at(schema.defaulted(VALID[kind]), path) == value


@pytest.mark.parametrize(
    ("kind", "said", "value", "path", "filled_in"),
    [
        pytest.param(
            *("Service", "spec/ports/0", {"port": 81}, "spec/ports/0/targetPort", 81),
            id="a target port is the port",
        ),
        pytest.param(
            *("Service", "spec/type", "NodePort", "spec/externalTrafficPolicy", "Cluster"),
            id="a service that is reached from outside",
        ),
        pytest.param(
            *("Service", "spec/sessionAffinity", "ClientIP"),
            *("spec/sessionAffinityConfig", {"clientIP": {"timeoutSeconds": 10800}}),
            id="three hours of affinity",
        ),
        pytest.param(
            *("Service", "spec/type", "LoadBalancer", "spec/allocateLoadBalancerNodePorts", True),
            id="node ports of a load balancer",
        ),
        pytest.param(
            *("Service", "spec/type", "ExternalName", "spec/internalTrafficPolicy", None),
            id="none of an external name",
        ),
        pytest.param("Pod", f"{_CONTAINER}/image", "a/b:1.0", _PULL, "IfNotPresent", id="a tag"),
        pytest.param("Pod", f"{_CONTAINER}/image", "a:5000/b", _PULL, "Always", id="no tag"),
        pytest.param(
            *("Pod", f"{_CONTAINER}/image", "a@sha256:12", _PULL, "IfNotPresent"), id="a digest"
        ),
        pytest.param(
            *("Pod", "spec/hostNetwork", True, f"{_CONTAINER}/ports/0/hostPort", 8080),
            id="ports of the host's network",
        ),
        pytest.param(
            *("Deployment", "spec/template/spec/hostNetwork", True),
            *("spec/template/spec/containers/0/ports/0/hostPort", None),
            id="not yet of a template",
        ),
        pytest.param(
            *("Pod", "spec/terminationGracePeriodSeconds", 0),
            *("spec/terminationGracePeriodSeconds", 0),
            id="0 is said",
        ),
        pytest.param(
            *("Pod", f"{_CONTAINER}/readinessProbe/periodSeconds", 0),
            *(f"{_CONTAINER}/readinessProbe/periodSeconds", 10),
            id="0 is not said of a probe",
        ),
        pytest.param(
            *("Pod", "spec/volumes/1", {"name": "tmp"}, "spec/volumes/1/emptyDir", {}),
            id="a volume of nothing",
        ),
        pytest.param("Deployment", "spec/replicas", 0, "spec/replicas", 0, id="no pods at all"),
        pytest.param(
            *("Deployment", "spec/strategy", {"type": "Recreate"}, _ROLLING, None), id="at once"
        ),
        pytest.param(
            *("NetworkPolicy", "spec/egress", [{}], "spec/policyTypes", ["Ingress", "Egress"]),
            id="both ways",
        ),
    ],
)
def test_default_that_depends(kind: str, said: str, value: Any, path: str, filled_in: Any) -> None:
    assert _at(schema.defaulted(changed(kind, said, value)), path) == filled_in


@pytest.mark.parametrize("kind", VALID)
def test_filling_in_leaves_what_it_was_given(kind: str) -> None:
    before = deepcopy(VALID[kind])
    schema.defaulted(VALID[kind])
    assert VALID[kind] == before


_WITH_TEMPLATES = ("DaemonSet", "Deployment", "ReplicaSet")


@pytest.mark.parametrize("kind", _WITH_TEMPLATES)
def test_a_template_is_stored_without_what_is_filled_in(kind: str) -> None:
    full = schema.defaulted(VALID[kind])
    lean = schema.lean(full)
    (container,) = lean["spec"]["template"]["spec"]["containers"]
    assert not {"imagePullPolicy", "terminationMessagePath", "terminationMessagePolicy"} & {
        *container
    }
    assert lean["spec"]["template"] == schema.lean(VALID[kind])["spec"]["template"]
    assert schema.defaulted(lean) == full
    assert schema.lean(lean) == lean


@pytest.mark.parametrize("kind", _WITH_TEMPLATES)
def test_what_is_stored_of_a_template_means_the_same_to_controllers(kind: str) -> None:
    full = schema.defaulted(VALID[kind])
    stored: Any = from_client(schema.lean(full))
    assert stored.template == cast(Any, from_client(full)).template


@pytest.mark.parametrize("kind", sorted(VALID.keys() - {*_WITH_TEMPLATES}))
def test_what_has_no_template_is_stored_as_it_is(kind: str) -> None:
    full = schema.defaulted(VALID[kind])
    assert schema.lean(full) == full


def test_what_is_no_default_is_stored() -> None:
    spec = {
        "restartPolicy": "Always",
        "dnsPolicy": "Default",
        "containers": [
            {"name": "a", "image": "b", "imagePullPolicy": "IfNotPresent", "resources": {}}
        ],
    }
    manifest = changed("Deployment", "spec/template/spec", spec)
    assert schema.lean(manifest)["spec"]["template"]["spec"] == {
        "dnsPolicy": "Default",
        "containers": [{"name": "a", "image": "b", "imagePullPolicy": "IfNotPresent"}],
    }
