"""The official Python client and lightkube, as their users write programs with them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes
import lightkube
import pytest
import yaml
from kubernetes.client.exceptions import ApiException
from lightkube.codecs import load_all_yaml
from lightkube.core.exceptions import ApiError
from lightkube.models.meta_v1 import ObjectMeta as LightMeta
from lightkube.resources.apps_v1 import Deployment as LightDeployment
from lightkube.resources.core_v1 import ConfigMap as LightConfigMap
from lightkube.resources.core_v1 import Pod as LightPod
from lightkube.types import PatchType

from testbed.lab.api_access import kubeconfig, write_private
from testbed.lab.client import Lab
from testbed.model.topology import Topology
from tests.lab.conftest import unique_name
from tests.lab.outer import ROOT

pytestmark = pytest.mark.lab

BLUE_GREEN = ROOT / "docs" / "examples" / "blue-green.yaml"
SHOP = ROOT / "docs" / "examples" / "shop.yaml"
PATIENCE_S = 120
TOPOLOGY: dict[str, Any] = {
    "name": "clients",
    "nodes": {"n1": {}, "n2": {}},
    "dns": {"replicas": 1},
    "workloads": {"client": {}},
}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab.up(Topology.model_validate(TOPOLOGY), name=unique_name()) as running:
        yield running


@pytest.fixture(scope="module")
def config(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clients") / "config"
    write_private(path, json.dumps(kubeconfig(lab.name, lab.kubernetes())))
    return path


@pytest.fixture
def official(config: Path) -> Iterator[kubernetes.client.ApiClient]:
    with kubernetes.config.new_client_from_config(str(config)) as client:
        yield client


@pytest.fixture
def light(config: Path) -> lightkube.Client:
    # Seconds, as httpx takes them: which httpx lightkube stands on differs from version to version.
    own = lightkube.KubeConfig.from_file(str(config))
    return lightkube.Client(config=own, timeout=PATIENCE_S)  # type: ignore[arg-type]


def make_namespace(client: kubernetes.client.ApiClient, name: str) -> str:
    core = kubernetes.client.CoreV1Api(client)
    core.create_namespace({"metadata": {"name": name}})
    return name


# The official client


def test_manifests_are_created_rolled_out_and_asked(
    lab: Lab, official: kubernetes.client.ApiClient
) -> None:
    space = make_namespace(official, "blue-green")
    kubernetes.utils.create_from_yaml(official, str(BLUE_GREEN), namespace=space)
    apps, core = kubernetes.client.AppsV1Api(official), kubernetes.client.CoreV1Api(official)
    watched = kubernetes.watch.Watch()
    for event in watched.stream(
        apps.list_namespaced_deployment,
        space,
        field_selector="metadata.name=app-blue",
        timeout_seconds=PATIENCE_S,
    ):
        if event["object"].status.ready_replicas == 2:
            watched.stop()
    pods = core.list_namespaced_pod(space, label_selector="version=blue").items
    assert all(pod.status.phase == "Running" and pod.status.pod_ip for pod in pods)
    service = core.read_namespaced_service("app", space)
    url = f"http://{service.spec.cluster_ip}/hostname"
    patience = ["--connect-timeout", "2", "--retry", "20", "--retry-delay", "1"]
    done = lab.exec("client-0", ["curl", "-s", *patience, "--retry-all-errors", url])
    assert done.stdout.startswith("app-")
    core.delete_namespace(space)


def test_an_object_is_changed_as_it_was_read(official: kubernetes.client.ApiClient) -> None:
    core = kubernetes.client.CoreV1Api(official)
    core.create_namespaced_config_map("default", {"metadata": {"name": "a"}, "data": {"x": "1"}})
    first, second = (core.read_namespaced_config_map("a", "default") for _ in range(2))
    first.data["x"] = "2"
    core.replace_namespaced_config_map("a", "default", first)
    with pytest.raises(ApiException) as stale:
        core.replace_namespaced_config_map("a", "default", second)
    assert (stale.value.status, stale.value.reason) == (409, "Conflict")
    patched = core.patch_namespaced_config_map("a", "default", {"data": {"y": "3"}})
    assert patched.data == {"x": "2", "y": "3"}
    core.delete_namespaced_config_map("a", "default")
    with pytest.raises(ApiException) as gone:
        core.read_namespaced_config_map("a", "default")
    assert json.loads(gone.value.body)["reason"] == "NotFound"


def test_a_watch_goes_on_from_where_a_list_was(official: kubernetes.client.ApiClient) -> None:
    core = kubernetes.client.CoreV1Api(official)
    version = core.list_namespaced_secret("default").metadata.resource_version
    for name in ("s-1", "s-2"):
        core.create_namespaced_secret(
            "default", {"metadata": {"name": name}, "stringData": {"k": "v"}}
        )
    core.delete_namespaced_secret("s-1", "default")
    seen: list[tuple[str, str]] = []
    watched = kubernetes.watch.Watch()
    for event in watched.stream(
        core.list_namespaced_secret,
        "default",
        resource_version=version,
        timeout_seconds=PATIENCE_S,
    ):
        seen.append((event["type"], event["object"].metadata.name))
        if len(seen) == 3:
            watched.stop()
    assert seen == [("ADDED", "s-1"), ("ADDED", "s-2"), ("DELETED", "s-1")]
    assert core.read_namespaced_secret("s-2", "default").data == {"k": "dg=="}


def test_lists_come_in_pages(official: kubernetes.client.ApiClient) -> None:
    core = kubernetes.client.CoreV1Api(official)
    space = make_namespace(official, "pages")
    for number in range(7):
        core.create_namespaced_config_map(space, {"metadata": {"name": f"c-{number}"}})
    names: list[str] = []
    token = None
    while token is None or token:
        page = core.list_namespaced_config_map(space, limit=3, _continue=token)
        names += [item.metadata.name for item in page.items]
        token = page.metadata._continue or ""
    assert [name for name in names if name.startswith("c-")] == [f"c-{n}" for n in range(7)]


def test_the_dynamic_client_finds_its_way(official: kubernetes.client.ApiClient) -> None:
    dynamic = kubernetes.dynamic.DynamicClient(official)
    deployments = dynamic.resources.get(api_version="apps/v1", kind="Deployment")
    manifest = next(
        one for one in yaml.safe_load_all(BLUE_GREEN.read_text()) if one["kind"] == "Deployment"
    )
    space = make_namespace(official, "dynamic")
    applied = deployments.server_side_apply(manifest, namespace=space, field_manager="test")
    assert applied.spec.replicas == 2
    manifest["spec"]["replicas"] = 1
    again = deployments.server_side_apply(manifest, namespace=space, field_manager="test")
    assert (again.spec.replicas, again.metadata.generation) == (1, 2)
    assert [one.manager for one in again.metadata.managedFields if one.operation == "Apply"] == [
        "test"
    ]


def test_a_program_in_a_pod_is_let_in(official: kubernetes.client.ApiClient) -> None:
    core = kubernetes.client.CoreV1Api(official)
    core.create_namespaced_pod("default", _program("in-cluster", IN_CLUSTER))
    watched = kubernetes.watch.Watch()
    status = None
    for event in watched.stream(
        core.list_namespaced_pod,
        "default",
        field_selector="metadata.name=in-cluster",
        timeout_seconds=PATIENCE_S,
    ):
        status = event["object"].status
        if status.phase in {"Succeeded", "Failed"}:
            watched.stop()
    assert status is not None
    assert status.phase == "Succeeded", status
    said = core.read_namespaced_pod_log("in-cluster", "default")
    assert said.splitlines()[-1] == "default client-0 in-cluster", said


IN_CLUSTER = """
import kubernetes
kubernetes.config.load_incluster_config()
core = kubernetes.client.CoreV1Api()
namespace = open("/var/run/secrets/kubernetes.io/serviceaccount/namespace").read()
print(namespace, *sorted(pod.metadata.name for pod in core.list_namespaced_pod(namespace).items))
"""


def _program(name: str, text: str) -> dict[str, Any]:
    """A pod that runs our Python, which a pod may not see: it has a /tmp of its own."""
    container = {
        "name": "main",
        "image": "python",
        "command": [sys.executable, "-c", text],
        "volumeMounts": [{"name": "python", "mountPath": sys.prefix, "readOnly": True}],
    }
    volume = {"name": "python", "hostPath": {"path": sys.prefix}}
    spec = {"restartPolicy": "Never", "containers": [container], "volumes": [volume]}
    return {"metadata": {"name": name}, "spec": spec}


def test_a_command_is_run_in_a_pod(official: kubernetes.client.ApiClient) -> None:
    core = kubernetes.client.CoreV1Api(official)
    said = kubernetes.stream.stream(
        core.connect_get_namespaced_pod_exec,
        "client-0",
        "default",
        command=["sh", "-c", "echo $HOSTNAME; echo no >&2"],
        stdout=True,
        stderr=False,
    )
    assert said == "client-0\n"


# lightkube


def test_lightkube_applies_a_shop(light: lightkube.Client) -> None:
    objects = load_all_yaml(SHOP.read_text())
    for item in objects:
        light.apply(item, field_manager="test", force=True)
    light.wait(LightDeployment, "frontend", for_conditions=["Available"], namespace="shop")
    pods = list(light.list(LightPod, namespace="shop", labels={"app": "frontend"}))
    assert len(pods) == 3
    scale = LightDeployment.Scale
    light.patch(scale, "frontend", {"spec": {"replicas": 1}}, namespace="shop")
    deployment = light.get(LightDeployment, "frontend", namespace="shop")
    assert deployment.spec is not None
    assert deployment.spec.replicas == 1


def test_lightkube_patches_and_watches(light: lightkube.Client) -> None:
    listed = light.list(LightConfigMap, namespace="default")
    assert "kube-root-ca.crt" in {item.metadata.name for item in listed if item.metadata}
    before = listed.resourceVersion
    light.create(
        LightConfigMap(metadata=LightMeta(name="lk", namespace="default"), data={"a": "1"})
    )
    patch = [{"op": "add", "path": "/data/b", "value": "2"}]
    light.patch(LightConfigMap, "lk", patch, patch_type=PatchType.JSON)
    events = light.watch(LightConfigMap, resource_version=before, server_timeout=PATIENCE_S)
    assert [next(events)[0], next(events)[0]] == ["ADDED", "MODIFIED"]
    light.delete(LightConfigMap, "lk")
    with pytest.raises(ApiError) as gone:
        light.get(LightConfigMap, "lk")
    assert gone.value.status.code == 404
