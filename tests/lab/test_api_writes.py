"""What clients write is what the lab does: addresses lead somewhere, owners take along, finalizers hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import kubernetes
import pytest
from kubernetes.client.exceptions import ApiException

from testbed.lab.api_access import kubeconfig, write_private
from testbed.lab.client import Lab
from testbed.model.topology import Topology
from tests.lab.conftest import unique_name

pytestmark = pytest.mark.lab

NAMESPACE = "default"
PATIENCE_S = 300
LABELS = {"app": "web"}
TOPOLOGY: dict[str, Any] = {
    "name": "writes",
    "nodes": {"n1": {}, "n2": {}},
    "dns": {"replicas": 1},
    "workloads": {"client": {}},
}
CONTAINER = {"name": "web", "image": "nginx", "ports": [{"containerPort": 80}]}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab.up(Topology.model_validate(TOPOLOGY), name=unique_name()) as running:
        yield running


@pytest.fixture(scope="module")
def client(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    path = tmp_path_factory.mktemp("writes") / "config"
    write_private(path, json.dumps(kubeconfig(lab.name, lab.kubernetes())))
    with kubernetes.config.new_client_from_config(str(path)) as found:
        yield found


def until(listing: Callable[..., Any], name: str, holds: Callable[[Any], bool]) -> None:
    """Look at an object, None where there is none, until it is as wanted."""
    selector = f"metadata.name={name}"
    listed = listing(field_selector=selector)
    if holds(next(iter(listed.items), None)):
        return
    watched, version = kubernetes.watch.Watch(), listed.metadata.resource_version
    for event in watched.stream(
        listing, field_selector=selector, resource_version=version, timeout_seconds=PATIENCE_S
    ):
        if holds(None if event["type"] == "DELETED" else event["object"]):
            watched.stop()
            return
    raise AssertionError(f"{name} has not become what was waited for")


def gone(item: Any) -> bool:
    return item is None


def refusal(call: Callable[..., Any], *args: Any) -> dict[str, Any]:
    with pytest.raises(ApiException) as caught:
        call(*args)
    status: dict[str, Any] = json.loads(caught.value.body)
    return status


def fetched(lab: Lab, address: str) -> str:
    # A connection that came before its rule is lost for good; the next one is not.
    patience = ["--connect-timeout", "2", "--retry", "20", "--retry-delay", "1"]
    command = ["curl", "-s", *patience, "--retry-all-errors", f"http://{address}/hostname"]
    return lab.exec("client-0", command).stdout.strip()


def test_an_address_leads_to_the_pods_and_is_free_again_afterwards(lab: Lab, client: Any) -> None:
    core = kubernetes.client.CoreV1Api(client)
    core.create_namespaced_pod(
        NAMESPACE,
        {"metadata": {"name": "web", "labels": LABELS}, "spec": {"containers": [CONTAINER]}},
    )
    spec = {"selector": LABELS, "ports": [{"port": 80}], "clusterIP": "10.96.77.7"}
    service = {"metadata": {"name": "web"}, "spec": spec}
    core.create_namespaced_service(NAMESPACE, service)
    assert fetched(lab, "10.96.77.7") == "web"
    other = {"metadata": {"name": "other"}, "spec": spec}
    assert (
        "provided IP is already allocated"
        in refusal(core.create_namespaced_service, NAMESPACE, other)["message"]
    )
    by_node = core.patch_namespaced_service("web", NAMESPACE, {"spec": {"type": "NodePort"}})
    node = core.read_node("n2").status.addresses[0].address
    assert fetched(lab, f"{node}:{by_node.spec.ports[0].node_port}") == "web"
    core.delete_namespaced_service("web", NAMESPACE)
    made = core.create_namespaced_service(NAMESPACE, other)
    assert made.spec.cluster_ips == ["10.96.77.7"]


def test_owners_leave_what_is_orphaned_and_wait_for_what_is_not(client: Any) -> None:
    apps, core = kubernetes.client.AppsV1Api(client), kubernetes.client.CoreV1Api(client)
    template = {"metadata": {"labels": {"app": "owned"}}, "spec": {"containers": [CONTAINER]}}
    spec = {"selector": {"matchLabels": {"app": "owned"}}, "template": template}
    apps.create_namespaced_deployment(NAMESPACE, {"metadata": {"name": "owned"}, "spec": spec})
    deployments = partial(apps.list_namespaced_deployment, NAMESPACE)
    until(deployments, "owned", lambda item: item.status.ready_replicas == 1)
    apps.delete_namespaced_deployment("owned", NAMESPACE, propagation_policy="Orphan")
    until(deployments, "owned", gone)
    (replica_set,) = apps.list_namespaced_replica_set(NAMESPACE, label_selector="app=owned").items
    assert not replica_set.metadata.owner_references
    name = replica_set.metadata.name
    apps.delete_namespaced_replica_set(name, NAMESPACE, propagation_policy="Foreground")
    until(partial(apps.list_namespaced_replica_set, NAMESPACE), name, gone)
    assert not core.list_namespaced_pod(NAMESPACE, label_selector="app=owned").items


def test_a_finalizer_holds_a_pod_that_has_ended(client: Any) -> None:
    core = kubernetes.client.CoreV1Api(client)
    metadata = {"name": "held", "finalizers": ["example.com/a"]}
    spec = {"containers": [CONTAINER], "terminationGracePeriodSeconds": 1}
    core.create_namespaced_pod(NAMESPACE, {"metadata": metadata, "spec": spec})
    pods = partial(core.list_namespaced_pod, NAMESPACE)
    until(pods, "held", lambda item: item.status.phase == "Running")
    core.delete_namespaced_pod("held", NAMESPACE)
    until(pods, "held", lambda item: item.metadata.deletion_grace_period_seconds == 0)
    core.patch_namespaced_pod("held", NAMESPACE, {"metadata": {"finalizers": None}})
    assert refusal(core.read_namespaced_pod, "held", NAMESPACE)["reason"] == "NotFound"


def test_a_namespace_waits_for_what_is_in_it(client: Any) -> None:
    core = kubernetes.client.CoreV1Api(client)
    core.create_namespace({"metadata": {"name": "shop"}})
    held = {"metadata": {"name": "held", "finalizers": ["example.com/a"]}}
    core.create_namespaced_config_map("shop", held)
    core.delete_namespace("shop")
    status = refusal(core.create_namespaced_config_map, "shop", {"metadata": {"name": "late"}})
    assert status["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    maps = partial(core.list_namespaced_config_map, "shop")
    until(maps, "held", lambda item: item.metadata.deletion_timestamp is not None)
    core.patch_namespaced_config_map("held", "shop", {"metadata": {"finalizers": None}})
    until(core.list_namespace, "shop", gone)
