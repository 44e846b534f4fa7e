"""Sessions with a stock kubectl: what people type, and what they rely on in the answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from testbed.lab.api_access import kubeconfig, write_private
from testbed.lab.client import Lab
from testbed.model.topology import Topology
from tests.lab.conftest import unique_name
from tests.lab.kubectl import PATIENCE, Kubectl
from tests.lab.outer import ROOT

pytestmark = pytest.mark.lab

SHOP = str(ROOT / "docs" / "examples" / "shop.yaml")
BLUE_GREEN = str(ROOT / "docs" / "examples" / "blue-green.yaml")
TOPOLOGY: dict[str, Any] = {
    "name": "kubectl",
    "nodes": {"n1": {}, "n2": {}, "n3": {"zone": "b"}},
    "dns": {"replicas": 1},
    "proxy": {"minSyncPeriod": "100ms"},
    "workloads": {"client": {"node": "n1"}},
}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab.up(Topology.model_validate(TOPOLOGY), name=unique_name()) as running:
        yield running


@pytest.fixture(scope="module")
def admin(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """In the namespace that the client chooses."""
    path = tmp_path_factory.mktemp("kubectl") / "config"
    write_private(path, json.dumps(kubeconfig(lab.name, lab.kubernetes())))
    return Kubectl(path)


@pytest.fixture
def kubectl(admin: Kubectl, request: pytest.FixtureRequest) -> Kubectl:
    """In a namespace of the test's own."""
    name = request.node.name.replace("_", "-")[:60].rstrip("-")
    admin("create", "namespace", name)
    return replace(admin, namespace=name)


def web(kubectl: Kubectl, replicas: int = 2) -> None:
    """A Deployment and its service, as `kubectl create` and `expose` make them."""
    kubectl("create", "deployment", "web", "--image=example.org/web:1", "--port=8080")
    kubectl("scale", "deployment/web", f"--replicas={replicas}")
    kubectl("expose", "deployment", "web", "--port=80", "--target-port=8080")
    kubectl("rollout", "status", "deployment/web", PATIENCE)


def ask(lab: Lab, url: str) -> str:
    """What a pod of the lab hears from a URL."""
    done = lab.exec(
        "client-0", ["curl", "-sS", "-m", "5", "--retry", "5", "--retry-all-errors", url]
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# A cluster as kubectl sees it


def test_a_lab_is_a_cluster(admin: Kubectl) -> None:
    nodes = admin("get", "nodes").splitlines()
    assert [line.split()[:2] for line in nodes[1:]] == [[f"n{n}", "Ready"] for n in (1, 2, 3)]
    names = admin("get", "namespaces", "-o", "name").split()
    assert {f"namespace/{name}" for name in ("default", "kube-system", "kube-public")} <= set(names)
    assert admin.value(".spec.clusterIP", "service", "kubernetes") == "10.96.0.1"
    assert admin("api-resources", "--api-group=apps", "-o", "name").split() == [
        "daemonsets.apps",
        "deployments.apps",
        "replicasets.apps",
    ]
    assert "deployments.apps" not in admin("api-resources", "--api-group=networking.k8s.io")
    assert admin("auth", "can-i", "create", "pods").strip() == "yes"
    assert "is running at" in admin("cluster-info")
    assert "DESCRIPTION" in admin("explain", "service.spec.ports")


def test_nobody_comes_in_without_the_token(admin: Kubectl) -> None:
    assert "You must be logged in" in admin.refused("get", "pods", "--token=wrong")


def test_a_deployment_from_create_to_delete(lab: Lab, kubectl: Kubectl) -> None:
    web(kubectl)
    space = kubectl.namespace
    pods = {line.split()[0] for line in kubectl("get", "pods", "--no-headers").splitlines()}
    assert len(pods) == 2
    assert ask(lab, f"http://web.{space}/hostname") in pods
    row = kubectl("get", "deployment", "web", "--no-headers").split()
    assert row[:4] == ["web", "2/2", "2", "2"]
    kubectl("delete", "deployment", "web", "--cascade=foreground", PATIENCE)
    assert "No resources found" in kubectl.run("get", "pods").stderr


def test_describe_tells_what_happened(kubectl: Kubectl) -> None:
    web(kubectl, 1)
    said = kubectl("describe", "pod", "-l", "app=web")
    for word in ("Scheduled", "Pulled", "Created", "Started", "Controlled By:  ReplicaSet/web-"):
        assert word in said
    assert "ScalingReplicaSet" in kubectl("describe", "deployment", "web")
    assert "Endpoints:" in kubectl("describe", "service", "web")
    reasons = kubectl("get", "events", "-o", "jsonpath={.items[*].reason}").split()
    assert {"SuccessfulCreate", "ScalingReplicaSet", "Scheduled", "Started"} <= set(reasons)


def test_a_watch_sees_pods_come_and_go(kubectl: Kubectl) -> None:
    with kubectl.start("get", "pods", "-w", "--output-watch-events", "--no-headers") as watch:
        assert watch.stdout is not None
        try:
            kubectl("create", "deployment", "web", "--image=a", "--replicas=1")
            seen = [line.split() for line in _until(watch.stdout, "Running")]
            assert seen[0][0] == "ADDED"
            kubectl("delete", "deployment", "web", "--wait=false")
            assert any(line.startswith("DELETED") for line in _until(watch.stdout, "DELETED"))
        finally:
            watch.kill()


def _until(lines: Any, word: str) -> list[str]:
    seen: list[str] = []
    for line in lines:
        seen.append(line)
        if word in line:
            return seen
    raise AssertionError(f"it ended before {word}: {seen}")


# Rollouts


def test_a_rollout_and_its_undoing(kubectl: Kubectl) -> None:
    web(kubectl)
    kubectl("set", "image", "deployment/web", "web=example.org/web:2")
    kubectl("rollout", "status", "deployment/web", PATIENCE)
    assert images(kubectl) == {"example.org/web:2"}
    history = kubectl("rollout", "history", "deployment/web").splitlines()
    assert [line.split()[0] for line in history if line[:1].isdigit()] == ["1", "2"]
    assert "example.org/web:1" in kubectl("rollout", "history", "deployment/web", "--revision=1")
    kubectl("rollout", "undo", "deployment/web")
    kubectl("rollout", "status", "deployment/web", PATIENCE)
    assert images(kubectl) == {"example.org/web:1"}
    kubectl("rollout", "restart", "deployment/web")
    kubectl("rollout", "status", "deployment/web", PATIENCE)
    assert len(kubectl("get", "replicasets", "--no-headers").splitlines()) == 3


def images(kubectl: Kubectl) -> set[str]:
    """Of the pods that are to stay."""
    pods = kubectl.json("get", "pods", "-l", "app=web")["items"]
    return {
        pod["spec"]["containers"][0]["image"]
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"]
    }


def test_a_paused_rollout_waits(kubectl: Kubectl) -> None:
    web(kubectl, 1)
    kubectl("rollout", "pause", "deployment/web")
    kubectl("set", "image", "deployment/web", "web=example.org/web:2")
    assert images(kubectl) == {"example.org/web:1"}
    kubectl("rollout", "resume", "deployment/web")
    kubectl("rollout", "status", "deployment/web", PATIENCE)
    assert images(kubectl) == {"example.org/web:2"}


# Changes


def test_labels_annotations_patches_and_an_editor(kubectl: Kubectl, tmp_path: Path) -> None:
    web(kubectl, 1)
    kubectl("label", "service", "web", "tier=front")
    kubectl("annotate", "service", "web", "note=hi")
    kubectl("label", "service", "web", "tier=back", "--overwrite")
    assert "web" in kubectl("get", "services", "-l", "tier in (back,middle)", "-o", "name")
    kubectl("label", "service", "web", "tier-")
    merge, strategic = (
        '{"metadata":{"annotations":{"note":null}}}',
        ('{"spec":{"ports":[{"port":80,"name":"http"}]}}'),
    )
    kubectl("patch", "service", "web", "--type=merge", "-p", merge)
    kubectl("patch", "service", "web", "-p", strategic)
    kubectl("patch", "service", "web", "--type=json", "-p", json.dumps(JSON_PATCH))
    service = kubectl.json("get", "service", "web")
    assert service["spec"]["ports"][0]["name"] == "http"
    assert service["spec"]["sessionAffinity"] == "ClientIP"
    assert "note" not in service["metadata"].get("annotations", {})
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/port: 80$/port: 81/' \"$1\"\n")
    editor.chmod(0o755)
    kubectl("edit", "service", "web", env={"KUBE_EDITOR": str(editor)})
    assert kubectl.value(".spec.ports[0].port", "service", "web") == "81"


JSON_PATCH = [{"op": "replace", "path": "/spec/sessionAffinity", "value": "ClientIP"}]


def test_apply_changes_only_what_differs(lab: Lab, kubectl: Kubectl, tmp_path: Path) -> None:
    text = Path(BLUE_GREEN).read_text()
    first = kubectl("apply", "-f", "-", stdin=text).splitlines()
    assert [line.rpartition(" ")[2] for line in first] == ["created"] * 3
    again = kubectl("apply", "-f", "-", stdin=text).splitlines()
    assert [line.rpartition(" ")[2] for line in again] == ["unchanged"] * 3
    for name in ("app-blue", "app-green"):
        kubectl("rollout", "status", f"deployment/{name}", PATIENCE)
    green = text.replace(
        "selector: {app: app, version: blue}", "selector: {app: app, version: green}"
    )
    difference = kubectl.run("diff", "-f", "-", stdin=green)
    assert difference.returncode == 1
    assert "+    version: green" in difference.stdout
    assert "service/app configured" in kubectl("apply", "-f", "-", stdin=green)
    url = f"http://app.{kubectl.namespace}/hostname"
    answered = [ask(lab, url) for _ in range(3)]
    while not all(name.startswith("app-green-") for name in answered):  # rules follow at their pace
        answered = [ask(lab, url) for _ in range(3)]
    kubectl("delete", "-f", "-", stdin=green)
    assert kubectl("get", "deployments,services", "-o", "name") == ""


def test_mistakes_are_told_in_kubernetes_words(kubectl: Kubectl) -> None:
    web(kubectl, 1)
    assert 'services "no" not found' in kubectl.refused("get", "service", "no")
    assert "already exists" in kubectl.refused("create", "deployment", "web", "--image=a")
    stale = kubectl.json("get", "service", "web")
    kubectl("annotate", "service", "web", "a=b")
    assert "the object has been modified" in kubectl.refused(
        "replace", "-f", "-", stdin=json.dumps(stale)
    )
    port = '{"spec":{"ports":[{"port":70000}]}}'
    assert "must be between 1 and 65535" in kubectl.refused("patch", "svc", "web", "-p", port)
    taken = {"spec": {"clusterIP": "10.96.0.1"}}
    assert "may not change once set" in kubectl.refused(
        "patch", "svc", "web", "-p", json.dumps(taken)
    )
    stored = kubectl.run("apply", "-f", "-", stdin=json.dumps(POLICY))
    assert "not enforced" in stored.stderr


POLICY = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "deny"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
}


# Nodes


def test_a_node_is_drained_and_comes_back(kubectl: Kubectl) -> None:
    web(kubectl, 3)
    kubectl("cordon", "n2")
    assert "SchedulingDisabled" in kubectl("get", "node", "n2")
    arguments = ["--ignore-daemonsets", "--force", PATIENCE]
    drained = kubectl("drain", "n2", "--pod-selector=app=web", *arguments)
    assert "drained" in drained or "evicted" in drained
    kubectl("rollout", "status", "deployment/web", PATIENCE)
    nodes = kubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].spec.nodeName}")
    assert "n2" not in nodes.split()
    kubectl("uncordon", "n2")
    assert "SchedulingDisabled" not in kubectl("get", "node", "n2")


# Inside pods


def test_logs_and_commands_in_a_pod(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=json.dumps(SHELL))
    kubectl("wait", "--for=condition=Ready", "pod/shell", PATIENCE)
    assert kubectl("logs", "shell").splitlines()[0] == "hello from shell"
    if not kubectl.reaches_into_pods:
        assert "WebSocket" in kubectl.refused("exec", "shell", "--", "true")
        return
    assert kubectl("exec", "shell", "--", "hostname").strip() == "shell"
    assert kubectl("exec", "-i", "shell", "--", "cat", stdin="through\n") == "through\n"
    assert kubectl.run("exec", "shell", "--", "sh", "-c", "exit 7").returncode == 7
    answer = kubectl("exec", "shell", "--", "sh", "-c", ASK_API)
    assert json.loads(answer)["metadata"]["name"] == "shell"


SHELL = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "shell"},
    "spec": {
        "terminationGracePeriodSeconds": 1,
        "containers": [
            {
                "name": "shell",
                "image": "busybox",
                "command": ["sh", "-c", "echo hello from $HOSTNAME; exec sleep 1000"],
            }
        ],
    },
}
ASK_API = """
D=/var/run/secrets/kubernetes.io/serviceaccount
curl -sS --retry 5 --retry-all-errors --cacert $D/ca.crt -H "Authorization: Bearer $(cat $D/token)" \
  https://kubernetes.default.svc/api/v1/namespaces/$(cat $D/namespace)/pods/$(hostname)
"""


def test_a_port_is_forwarded(kubectl: Kubectl) -> None:
    web(kubectl, 1)
    if not kubectl.reaches_into_pods:
        assert "WebSocket" in kubectl.refused("port-forward", "service/web", ":80")
        return
    with kubectl.start("port-forward", "service/web", ":80") as forwarding:
        assert forwarding.stdout is not None
        try:
            (line,) = _until(forwarding.stdout, "Forwarding from 127.0.0.1:")
            port = line.split("127.0.0.1:")[1].split()[0]
            for _ in range(2):
                with urlopen(f"http://127.0.0.1:{port}/hostname", timeout=60) as answer:
                    assert answer.read().decode().startswith("web-")
        finally:
            forwarding.kill()


# A whole shop


def test_an_ordinary_shop_unchanged(lab: Lab, admin: Kubectl) -> None:
    admin("apply", "-f", SHOP)
    shop = replace(admin, namespace="shop")
    for name in ("frontend", "catalog", "payment"):
        shop("rollout", "status", f"deployment/{name}", PATIENCE)
    assert ask(lab, "http://frontend.shop/hostname").startswith("frontend-")
    assert ask(lab, "http://catalog.shop:9555/hostname").startswith("catalog-")
    assert ask(lab, "http://payment.shop:50051/hostname").startswith("payment-")
    assert shop.value(".data.api-key", "secret", "payment-key") == "bm90LXJlYWxseS1hLWtleQ=="
    assert shop("get", "ingress,networkpolicy", "-o", "name").split() == [
        "ingress.networking.k8s.io/shop",
        "networkpolicy.networking.k8s.io/payment",
    ]
    again = shop("apply", "-f", SHOP).splitlines()
    # kubectl sees no stringData in what is there, in any cluster.
    assert [line for line in again if not line.endswith(" unchanged")] == [
        "secret/payment-key configured"
    ]
    admin("delete", "namespace", "shop", PATIENCE)
    assert "NotFound" in admin.refused("get", "namespace", "shop")
    assert "No resources found" in shop.run("get", "all").stderr
