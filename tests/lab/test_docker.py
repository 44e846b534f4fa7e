"""Nodes and pods as containers of a Docker daemon, from `up` to what a killed lab leaves."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.lab import dockerd
from tests.lab.awaited import awaited
from tests.lab.conftest import unique_name
from tests.lab.dockerd import IMAGE, World
from tests.lab.outer import TESTBED

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(bool(dockerd.lacking()), reason=dockerd.lacking()),
]

SERVE = "mkdir -p /www && hostname > /www/hostname && echo serving as $POD && exec httpd -f -p 8080 -h /www"
SHOP = f"""
name: shop
runtime: {{nodes: docker, pods: docker, docker: {{image: "{IMAGE}"}}}}
nodes: {{n1: {{}}, n2: {{}}}}
dns: {{replicas: 1}}
timing: {{restartBackoff: 100ms}}
workloads:
  echo: {{port: 8080, node: n1}}
  lost: {{port: 8080, node: n1, image: "registry.invalid/lost:1"}}
services:
  web: {{port: 80, targetPort: 8080, selector: {{app: web}}}}
manifests:
  - {{apiVersion: v1, kind: ConfigMap, metadata: {{name: greeting}}, data: {{text: hello}}}}
  - apiVersion: v1
    kind: Pod
    metadata: {{name: web, labels: {{app: web}}}}
    spec:
      nodeName: n2
      terminationGracePeriodSeconds: 1
      initContainers:
        - {{name: first, image: "{IMAGE}", command: [sh, -c, "echo made > /shared/first"],
            volumeMounts: [{{name: shared, mountPath: /shared}}]}}
      containers:
        - name: server
          image: "{IMAGE}"
          command: [sh, -c, "{SERVE}"]
          env: [{{name: POD, valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}}}]
          ports: [{{containerPort: 8080}}]
          readinessProbe: {{httpGet: {{path: /hostname, port: 8080}}}}
          livenessProbe: {{exec: {{command: [cat, /www/hostname]}}}}
          volumeMounts:
            - {{name: shared, mountPath: /shared}}
            - {{name: texts, mountPath: /texts}}
        - {{name: beside, image: "{IMAGE}", command: [sleep, "100000"]}}
      volumes: [{{name: shared, emptyDir: {{}}}}, {{name: texts, configMap: {{name: greeting}}}}]
"""


@dataclass(frozen=True)
class Shop:
    """The lab, and the daemon that has its containers."""

    name: str
    world: World
    client: docker.APIClient

    def testbed(self, command: str, *arguments: str, stdin: str = "") -> str:
        """What a command prints about this lab."""
        done = self.world.testbed(command, self.name, *arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def inside(self, where: str, *argv: str) -> str:
        return self.testbed("exec", where, "--", *argv).strip()

    def try_inside(self, where: str, *argv: str) -> str:
        """Of a command that may fail."""
        return self.world.testbed("exec", self.name, where, "--", *argv).stdout.strip()

    def ip(self, pod: str) -> str:
        return str(self.pod(pod)["status"]["podIP"])

    def service(self, name: str) -> str:
        """Its cluster address."""
        rows = json.loads(self.testbed("inspect", "-o", "json"))["services"]
        return next(str(row["clusterIP"]) for row in rows if row["name"] == name)

    def pod(self, name: str) -> dict[str, Any]:
        got = self.testbed("kubectl", "--", "get", "pod", name, "-o", "json")
        found: dict[str, Any] = json.loads(got)
        return found

    def containers(self, **labels: str) -> list[str]:
        """Names of the lab's containers, running or not."""
        return sorted(str(row["Names"][0]).lstrip("/") for row in self._rows(labels))

    def ids(self, **labels: str) -> list[str]:
        return [str(row["Id"]) for row in self._rows(labels)]

    def _rows(self, labels: dict[str, str]) -> list[dict[str, Any]]:
        wanted = {"testbed.lab": self.name} | {f"testbed.{key}": labels[key] for key in labels}
        filters = {"label": [f"{key}={value}" for key, value in wanted.items()]}
        rows: list[dict[str, Any]] = self.client.containers(all=True, filters=filters)
        return rows


@pytest.fixture(scope="module")
def docker_daemon() -> Iterator[tuple[World, docker.APIClient]]:
    with dockerd.daemon() as found:
        yield found


@pytest.fixture(scope="module")
def shop(
    docker_daemon: tuple[World, docker.APIClient], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    world, client = docker_daemon
    file = tmp_path_factory.mktemp("shop") / "shop.yaml"
    file.write_text(SHOP)
    name = unique_name()
    done = world.testbed("up", str(file), "--name", name, "--timeout", "180s")
    assert done.returncode == 0, done.stderr
    assert (
        "a stand-in runs for registry.invalid/lost:1: image registry.invalid/lost:1" in done.stderr
    )
    yield Shop(name, world, client)
    world.testbed("down", name)
    assert things_of(client, name) == []


def things_of(client: docker.APIClient, lab: str) -> list[Any]:
    """All that the daemon has of a lab."""
    filters = {"label": f"testbed.lab={lab}"}
    volumes = client.volumes(filters=filters)["Volumes"] or []
    return [
        *client.containers(all=True, filters=filters),
        *client.images(filters=filters),
        *volumes,
    ]


def test_nodes_and_pods_are_containers_that_say_whose_they_are(shop: Shop) -> None:
    assert shop.containers(node="n1") == [f"testbed-{shop.name}-n1"]
    of_web = shop.containers(pod="default/web")
    assert [one.rsplit("_", 2)[1] for one in of_web] == ["POD", "beside", "first", "server"]
    assert shop.containers(pod="default/echo-0") == []
    every = shop.client.containers(filters={"label": f"testbed.lab={shop.name}"})
    assert {row["HostConfig"]["NetworkMode"].partition(":")[0] for row in every} == {
        "none",
        "container",
    }
    assert len({row["Labels"]["testbed.instance"] for row in every}) == 1


def test_exec_is_inside_of_a_container_with_its_streams_and_its_exit_code(shop: Shop) -> None:
    assert shop.inside("n1", "cat", "/proc/1/comm") == "testbed-pause"
    assert shop.inside("n1", "hostname") == "n1"
    assert "172.18.0.2 n1" in shop.inside("n1", "cat", "/etc/hosts")
    done = shop.world.testbed(
        "exec", shop.name, "web", "--", "sh", "-c", "cat; echo no >&2; exit 7", stdin="yes\n" * 9999
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, "yes\n" * 9999, "no\n")
    missing = shop.world.testbed("exec", shop.name, "web", "--", "curl", "http://web")
    assert missing.returncode in (126, 127)
    tools = shop.testbed("exec", "--host-tools", "web", "--", "cat", "/proc/self/comm", stdin="")
    assert tools == "cat\n"


def test_a_container_finds_what_its_manifest_promises(shop: Shop) -> None:
    assert shop.inside("web", "cat", "/shared/first") == "made"
    assert shop.inside("web", "cat", "/texts/text") == "hello"
    assert "cluster.local" in shop.inside("web", "cat", "/etc/resolv.conf")
    assert shop.inside("web", "sh", "-c", "echo $POD $HOSTNAME") == "web web"
    assert shop.testbed("kubectl", "--", "logs", "web", "-c", "server") == "serving as web\n"


def test_containers_and_processes_reach_each_other_by_service_and_by_name(shop: Shop) -> None:
    assert shop.inside("echo-0", "curl", "-s", "http://web/hostname") == "web"
    assert (
        shop.inside("web", "wget", "-qO-", f"http://{shop.ip('echo-0')}:8080/hostname") == "echo-0"
    )
    address = shop.inside("web", "nslookup", "web.default.svc.cluster.local")
    assert shop.service("web") in address


def test_an_image_that_cannot_be_had_is_stood_in_for_and_said_to_be(shop: Shop) -> None:
    (status,) = shop.pod("lost-0")["status"]["containerStatuses"]
    assert (status["image"], status["imageID"]) == ("registry.invalid/lost:1", "testbed/echo")
    of_web = shop.pod("web")["status"]["containerStatuses"]
    assert all(one["imageID"].startswith("docker://sha256:") for one in of_web)


def test_a_command_has_a_terminal_where_its_caller_has_one(shop: Shop) -> None:
    line = " ".join(
        (*TESTBED, "exec", shop.name, "web", "--", "sh", "-c", "'test -t 0 && echo on one'")
    )
    done = shop.world.run("script", "-qec", line, "/dev/null")
    assert (done.returncode, done.stdout.strip()) == (0, "on one")


def test_a_container_that_crashes_is_started_again_by_the_kubelet(shop: Shop) -> None:
    def server() -> dict[str, Any]:
        statuses = shop.pod("web")["status"]["containerStatuses"]
        return next(one for one in statuses if one["name"] == "server")

    before = server()["restartCount"]
    shop.testbed("fault", "crash", "web")
    awaited(lambda: server()["restartCount"] == before + 1 and server()["ready"])
    assert server()["lastState"]["terminated"]["exitCode"] == 128 + signal.SIGKILL
    awaited(lambda: len(shop.containers(pod="default/web", container="server")) == 1)


def test_a_container_hangs_and_is_healed(shop: Shop) -> None:
    shop.testbed("fault", "hang", "web")
    assert "(httpd) T " in shop.inside("web", "cat", "/proc/1/stat")
    shop.testbed("fault", "heal", "web")
    assert "(httpd) T " not in shop.inside("web", "cat", "/proc/1/stat")


def test_a_stopped_node_has_no_container_and_boots_as_another_one(shop: Shop) -> None:
    (before,) = shop.ids(node="n2")
    shop.testbed("fault", "stop-node", "n2")
    assert shop.containers(node="n2") == shop.containers(pod="default/web") == []
    shop.testbed("fault", "heal", "n2")
    (after,) = shop.ids(node="n2")
    assert before != after
    awaited(lambda: shop.try_inside("echo-0", "curl", "-sm", "1", "http://web/hostname") == "web")


def test_every_machine_and_pod_reaches_what_it_reaches_in_other_labs(
    docker_daemon: tuple[World, docker.APIClient],
) -> None:
    program = (
        "from tests.lab.reachability import PROMISES, broken, topology\n"
        "from testbed.lab.client import Lab\n"
        f"runtime = {{'nodes': 'docker', 'pods': 'docker', 'docker': {{'image': '{IMAGE}'}}}}\n"
        "wanted = topology({'cni': 'host-gw'}, runtime=runtime)\n"
        f"with Lab.up(wanted, name='{unique_name()}', timeout_s=180, ephemeral=True) as lab:\n"
        "    print(*broken(lab, PROMISES['host-gw']), sep='\\n')\n"
    )
    done = docker_daemon[0].python(program)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_whatever_kills_a_lab_what_it_left_is_found_and_removed(
    docker_daemon: tuple[World, docker.APIClient], tmp_path: Path
) -> None:
    world, client = docker_daemon
    name, file = unique_name(), tmp_path / "small.yaml"
    file.write_text(
        f"{{name: small, nodes: {{n1: {{}}}}, dns: {{replicas: 0}},"
        f' runtime: {{nodes: docker, docker: {{image: "{IMAGE}"}}}}}}'
    )

    def killed(*files: str) -> None:
        pids = [(world.labs / name / one).read_text() for one in files]
        assert world.run("kill", "-9", *pids).returncode == 0

    up = world.testbed("up", str(file), "--name", name)
    assert (up.returncode, len(things_of(client, name))) == (0, 1), up.stderr
    killed("pid")
    awaited(lambda: things_of(client, name) == [])  # by what sits outside of the lab's world

    assert world.testbed("up", str(file), "--name", name).returncode == 0
    killed("outside.pid", "pid")
    found = world.testbed("doctor", "--leftovers", "-o", "json")
    assert found.returncode == 1
    assert [row["what"] for row in json.loads(found.stdout) if row["kind"] == "container"] == [
        f"testbed-{name}-n1"
    ]
    assert world.testbed("down", name).returncode == 0
    assert things_of(client, name) == []
    assert world.testbed("down", name).returncode == 4
