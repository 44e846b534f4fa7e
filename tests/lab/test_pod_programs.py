"""Pods that run programs, as root and as an ordinary user: what they find and leave, how one reaches them.

The client is the official Python one; the pods are in the topology, so that `up` waits for them.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import kubernetes
import pytest
import yaml
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import portforward, stream
from kubernetes.stream.ws_client import ERROR_CHANNEL, WSClient

from tests.lab.conftest import User, unique_name

pytestmark = pytest.mark.lab

AGNHOST = "registry.k8s.io/e2e-test-images/agnhost:2.56"
PATIENCE_S = 120.0
PATIENT = {"periodSeconds": 1, "timeoutSeconds": 60}
"""Of a probe: no container is restarted because the machine was busy."""
TELL = """
echo "args $0 $1"; pwd; hostname; echo "mode $MODE; secret $SECRET; cpu $CPU; from $ALL_mode"
echo "link $WEB_SERVICE_HOST:$WEB_SERVICE_PORT"
cat /etc/config/greeting /etc/config/sub/mode /secret/password /about/name /about/labels; echo
cat /etc/hosts /etc/resolv.conf; cat /etc/hostname
cat /work/first /work/second; ls /shared
echo more >> /etc/config/greeting || echo "the volume is read-only"
echo "to err" >&2
exec sleep infinity
"""


def container(name: str = "main", image: str = "busybox", **more: Any) -> dict[str, Any]:
    return {"name": name, "image": image, **more}


def manifest(kind: str, name: str, **body: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default", **body.pop("metadata", {})}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **body}


def pod(name: str, *containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    metadata = {"labels": {"app": name, "tier": "x"}}
    spec = {"terminationGracePeriodSeconds": 1, "containers": list(containers), **spec}
    return manifest("Pod", name, metadata=metadata, spec=spec)


def config_key(key: str) -> dict[str, Any]:
    return {"configMapKeyRef": {"name": "settings", "key": key}}


TELLER = pod(
    "teller",
    container(
        command=["sh", "-c", TELL, "$(MODE)"],
        args=["$$(MODE)"],
        workingDir="/work/here",
        env=[
            {"name": "MODE", "valueFrom": config_key("mode")},
            {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}},
            {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
        ],
        envFrom=[{"prefix": "ALL_", "configMapRef": {"name": "settings"}}],
        resources={"limits": {"cpu": "1500m"}},
        volumeMounts=[
            {"name": "config", "mountPath": "/etc/config"},
            {"name": "secret", "mountPath": "/secret", "readOnly": True},
            {"name": "about", "mountPath": "/about"},
            {"name": "work", "mountPath": "/work"},
            {"name": "work", "mountPath": "/shared", "subPath": "deep/er"},
        ],
        startupProbe={"exec": {"command": ["test", "-e", "/work/second"]}, **PATIENT},
        readinessProbe={"exec": {"command": ["cat", "/work/here/hook"]}, **PATIENT},
        lifecycle={"postStart": {"exec": {"command": ["sh", "-c", "echo ok > /work/here/hook"]}}},
    ),
    initContainers=[
        container("one", command=["sh", "-c", "echo 1 > /work/first"],
                  volumeMounts=[{"name": "work", "mountPath": "/work"}]),
        container("two", command=["sh", "-c", "cat /work/first && echo 2 > /work/second"],
                  volumeMounts=[{"name": "work", "mountPath": "/work"}]),
    ],
    volumes=[
        {"name": "config", "projected": {"sources": [
            {"configMap": {"name": "settings", "items": [{"key": "greeting", "path": "greeting"}]}},
            {"configMap": {"name": "settings", "items": [{"key": "mode", "path": "sub/mode"}]}},
        ]}},
        {"name": "secret", "secret": {"secretName": "s"}},
        {"name": "about", "downwardAPI": {"items": [
            {"path": "name", "fieldRef": {"fieldPath": "metadata.name"}},
            {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
        ]}},
        {"name": "work", "emptyDir": {}},
    ],
    hostname="narrator",
    subdomain="tales",
    hostAliases=[{"ip": "192.0.2.7", "hostnames": ["elsewhere", "else.where"]}],
    dnsConfig={"searches": ["example.org"], "options": [{"name": "ndots", "value": "2"}]},
)  # fmt: skip
MANIFESTS = [
    manifest("ConfigMap", "settings", data={"mode": "quiet", "greeting": "hello\n"}),
    manifest("Secret", "s", data={"password": "b3BlbiBzZXNhbWU="}),
    manifest("Service", "web", spec={"selector": {"app": "web"}, "ports": [{"port": 80, "name": "http"}]}),
    TELLER,
    pod("web", container(image="nginx", ports=[{"containerPort": 80, "hostPort": 8088}]), nodeName="n1"),
    pod("net", container(image=AGNHOST, args=["netexec"], ports=[{"containerPort": 8080}])),
    pod("ofnode", container(image=AGNHOST, args=["netexec", "--http-port=9099", "--udp-port=-1"]),
        hostNetwork=True, nodeName="n2"),
    pod("cat", container(command=["sh", "-c", "while read line; do echo got $line; done"], stdin=True)),
]  # fmt: skip
TOPOLOGY = {
    "name": "programs",
    "nodes": {"n1": {}, "n2": {}},
    "hosts": {"outside": {}},
    "dns": {"replicas": 1},
    "manifests": MANIFESTS,
}
FETCH = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=60).read().decode())"


@dataclass(frozen=True)
class World:
    """A running lab, who runs it, and a client of its API."""

    user: User
    lab: str

    @cached_property
    def core(self) -> kubernetes.client.CoreV1Api:
        said = self.user.testbed("kubeconfig", self.lab, "-o", "json")
        assert said.returncode == 0, said.stderr
        return kubernetes.client.CoreV1Api(
            kubernetes.config.new_client_from_config_dict(json.loads(said.stdout))
        )

    def log(self, name: str, **options: Any) -> str:
        text: str = self.core.read_namespaced_pod_log(name, "default", **options)
        return text

    def start(
        self, name: str, *command: str, container: str | None = None, **options: Any
    ) -> WSClient:
        """A command in a pod, with its streams."""
        more = {"container": container} if container else {}
        core = kubernetes.client.CoreV1Api(self.core.api_client)
        session: WSClient = stream(
            core.connect_get_namespaced_pod_exec, name, "default", command=list(command),
            stdout=True, stderr=True, _preload_content=False, **more, **options,
        )  # fmt: skip
        return session

    def run(self, name: str, *command: str, **options: Any) -> tuple[int, str, str]:
        """Exit code, output and error output of a command in a pod."""
        session = self.start(name, *command, **options)
        session.run_forever(timeout=PATIENCE_S)
        return session.returncode, session.read_stdout(), session.read_stderr()

    def sh(self, name: str, line: str, **options: Any) -> str:
        """What a line of shell prints, which must go well."""
        code, out, err = self.run(name, "sh", "-c", line, **options)
        assert code == 0, err
        return out

    def fetch(self, where: str, url: str) -> str:
        """What a page says to somebody in the lab."""
        said = self.user.testbed("exec", self.lab, where, "--", sys.executable, "-c", FETCH, url)
        assert said.returncode == 0, said.stderr
        return said.stdout.strip()

    def status(self, name: str) -> Any:
        return self.core.read_namespaced_pod(name, "default").status

    def until(self, what: Callable[[], Any]) -> Any:
        """The first answer that is something."""
        deadline = time.monotonic() + PATIENCE_S
        while not (found := what()):
            assert time.monotonic() < deadline, "it does not come about"
            time.sleep(0.1)
        return found


@pytest.fixture(scope="module")
def world(user: User) -> Iterator[World]:
    lab = unique_name()
    path = user.file("programs.yaml", yaml.safe_dump(TOPOLOGY))
    up = user.testbed("up", path, "--name", lab, "--timeout", "300s")
    try:
        assert up.returncode == 0, up.stderr
        yield World(user, lab)
    finally:
        user.testbed("down", lab)


def test_a_program_finds_what_its_manifest_promises(world: World) -> None:
    said = world.log("teller")
    address = world.status("teller").pod_ip
    link = world.core.read_namespaced_service("web", "default").spec.cluster_ip
    for promised in (
        "args quiet $(MODE)\n/work/here\nnarrator\n",
        "mode quiet; secret open sesame; cpu 2; from quiet\n",
        f"link {link}:80\n",
        'hello\nquietopen sesametellerapp="teller"\ntier="x"\n',
        f"{address} narrator.tales.default.svc.cluster.local narrator\n",
        "192.0.2.7 elsewhere else.where\n",
        "search default.svc.cluster.local svc.cluster.local cluster.local example.org\n",
        "options ndots:2\nnarrator\n1\n2\n",
        "the volume is read-only\n",
        "to err\n",
    ):
        assert promised in said, said


def test_first_things_came_first(world: World) -> None:
    status = world.status("teller")
    assert [one.state.terminated.reason for one in status.init_container_statuses] == [
        "Completed"
    ] * 2
    (main,) = status.container_statuses
    assert (main.ready, main.started, main.restart_count, main.image_id) == (
        True,
        True,
        0,
        "host://sh",
    )
    assert {one.type: one.status for one in status.conditions}["Initialized"] == "True"


def test_a_volume_follows_its_config_map(world: World) -> None:
    world.core.patch_namespaced_config_map(
        "settings", "default", {"data": {"greeting": "goodbye\n"}}
    )
    world.until(lambda: world.sh("teller", "cat /etc/config/greeting") == "goodbye\n")


def test_what_a_container_writes_is_its_own(world: World) -> None:
    mark = f"/testbed-{world.lab}"
    world.sh("teller", f"touch {mark} /tmp/here && echo 3 > /work/third")
    assert world.sh("teller", f"ls {mark} /tmp /shared/.. ; id -u").split()[-1] == "0"
    assert not Path(mark).exists()
    assert not Path("/tmp/here").exists()
    # A server of the lab's own has files, too, once somebody looks.
    world.sh("web", "echo kept > /kept")
    assert world.sh("web", "cat /kept; cat /etc/hostname") == "kept\nweb\n"


def test_commands_have_streams_and_codes(world: World) -> None:
    assert world.run("teller", "sh", "-c", "echo out; echo err >&2; exit 3") == (
        3,
        "out\n",
        "err\n",
    )
    code, _, _ = world.run("teller", "no-such-command")
    assert code == 127
    session = world.start("teller", "cat", stdin=True)
    session.write_stdin("through and back\n")
    assert session.readline_stdout(timeout=PATIENCE_S) == "through and back"
    session.close()
    large = world.sh("teller", "head -c 3000000 /dev/zero | tr '\\0' x")
    assert large == "x" * 3_000_000


def test_a_command_outlives_those_that_were_there_before(world: World) -> None:
    """In a server of the lab's own, which has no process that they could be in."""
    lines = 'read one; echo "$one"; read two; echo "$two"'
    first, second = (world.start("web", "sh", "-c", lines, stdin=True) for _ in range(2))
    for session in (first, second):
        session.write_stdin("here\n")
        assert session.readline_stdout(timeout=PATIENCE_S) == "here"
    for session in (first, second):
        session.write_stdin("over\n")
        session.run_forever(timeout=PATIENCE_S)
        assert (session.returncode, session.read_stdout()) == (0, "over\n")


def test_a_terminal_has_a_size(world: World) -> None:
    session = world.start("teller", "sh", stdin=True, tty=True)
    session.write_channel(4, json.dumps({"Width": 91, "Height": 17}))
    session.write_stdin("stty size; test -t 0 && exit 5\n")
    session.run_forever(timeout=PATIENCE_S)
    assert "17 91" in session.read_stdout()
    assert json.loads(session.read_channel(ERROR_CHANNEL))["details"]["causes"][0]["message"] == "5"


def test_one_may_attach_to_a_container(world: World) -> None:
    core = kubernetes.client.CoreV1Api(world.core.api_client)
    session: WSClient = stream(
        core.connect_get_namespaced_pod_attach, "cat", "default", stdin=True, stdout=True,
        stderr=True, _preload_content=False,
    )  # fmt: skip
    session.write_stdin("a word\n")
    assert session.readline_stdout(timeout=PATIENCE_S) == "got a word"
    session.close()
    world.until(lambda: world.log("cat") == "got a word\n")


def test_logs_are_asked_for_in_parts(world: World) -> None:
    every = world.log("teller", timestamps=True).splitlines()
    assert all(line[:2] == "20" and line.split(" ")[0].endswith("Z") for line in every)
    assert world.log("teller", tail_lines=2).count("\n") == 2
    assert world.log("cat", tail_lines=0) == ""
    assert world.log("teller", limit_bytes=4) == "args"
    assert world.log("web") == ""
    for options, why in (
        ({"container": "other"}, "container other is not valid for pod teller"),
        (
            {"previous": True},
            'previous terminated container \\"main\\" in pod \\"teller\\" not found',
        ),
        ({"tail_lines": -1}, "tailLines"),
    ):
        with pytest.raises(ApiException) as refused:
            world.log("teller", **options)
        assert (refused.value.status, why in refused.value.body) in ((400, True), (422, True))


def test_a_run_that_is_over_leaves_code_message_and_log(world: World) -> None:
    line = "echo run; echo last words > /dev/termination-log; exit 4"
    world.core.create_namespaced_pod(
        "default", pod("brief", container(command=["sh", "-c", line]), restartPolicy="Never")
    )
    status = world.until(lambda: (now := world.status("brief")).phase == "Failed" and now)
    over = status.container_statuses[0].state.terminated
    assert (over.exit_code, over.reason, over.message) == (4, "Error", "last words\n")
    assert world.log("brief") == "run\n"
    again = pod("again", container(command=["sh", "-c", "echo here; exit 0"]))
    world.core.create_namespaced_pod("default", again)
    world.until(lambda: world.status("again").container_statuses[0].restart_count)
    assert world.log("again", previous=True) == "here\n"
    missing = pod("missing", container(command=["no-such-program"]), restartPolicy="Never")
    world.core.create_namespaced_pod("default", missing)
    status = world.until(lambda: (now := world.status("missing")).phase == "Failed" and now)
    over = status.container_statuses[0].state.terminated
    assert (over.exit_code, over.reason) == (128, "StartError")
    assert "no-such-program: no such command" in over.message


def test_the_last_will_is_done_before_the_end(world: World) -> None:
    folder = world.user.folder / "will"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    will = {"preStop": {"exec": {"command": ["sh", "-c", "sleep 0.3; echo done > /will/done"]}}}
    command = ["sh", "-c", "trap 'cat /will/done > /will/seen; exit 0' TERM; sleep infinity & wait"]
    mounted = container(
        command=command, lifecycle=will, volumeMounts=[{"name": "will", "mountPath": "/will"}]
    )
    volume = {"name": "will", "hostPath": {"path": str(folder), "type": "Directory"}}
    leaver = pod("leaver", mounted, volumes=[volume], terminationGracePeriodSeconds=30)
    world.core.create_namespaced_pod("default", leaver)
    world.until(lambda: world.status("leaver").phase == "Running")
    world.core.delete_namespaced_pod("leaver", "default")
    world.until(lambda: (folder / "seen").exists() and (folder / "seen").read_text() == "done\n")


def test_agnhost_does_what_network_tests_ask(world: World) -> None:
    get = world.core.connect_get_namespaced_pod_proxy_with_path

    def page(path: str) -> str:
        return world.fetch("default/net", f"http://127.0.0.1:8080/{path}")

    address = world.status("net").pod_ip
    assert page("hostName") == "net"
    assert page("echo?msg=said") == "said"
    assert page("clientip").startswith("127.0.0.1:")
    assert json.loads(page("shell?cmd=echo%20shell"))["output"] == "shell\n"
    dialled = json.loads(
        page(f"dial?host={address}&port=8081&protocol=udp&request=hostname&tries=2")
    )
    assert dialled == {"responses": ["net", "net"]}
    assert get("net:8080", "default", "hostname") == "net"
    assert "GET /hostName" in world.log("net")
    assert world.run("net", "/agnhost", "connect", "--timeout=60s", f"{address}:8080")[0] == 0
    assert (
        world.run("net", "/agnhost", "connect", "--timeout=60s", f"{address}:1")[2] == "REFUSED\n"
    )


def test_services_and_pods_are_reached_through_the_api(world: World) -> None:
    get = world.core.connect_get_namespaced_service_proxy_with_path
    assert get("web:http", "default", "hostname") == "web"
    with pytest.raises(ApiException) as refused:
        get("web:other", "default", "hostname")
    assert refused.value.status == 503
    forward = portforward(
        kubernetes.client.CoreV1Api(world.core.api_client).connect_get_namespaced_pod_portforward,
        "web", "default", ports="80",
    )  # fmt: skip
    sock = forward.socket(80)
    sock.setblocking(True)
    sock.sendall(b"GET /hostname HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")
    said = b""
    while not said.endswith(b"web"):
        data = sock.recv(1024)
        assert data, said
        said += data
    sock.close()


def test_nodes_have_ports_of_pods(world: World) -> None:
    node = world.status("web").host_ip
    assert "web" in world.fetch("outside", f"http://{node}:8088/hostname")
    assert "web" in world.fetch("n1", "http://127.0.0.1:8088/hostname")
    of_node = world.status("ofnode")
    assert of_node.pod_ip == of_node.host_ip
    assert world.fetch("outside", f"http://{of_node.pod_ip}:9099/hostname") == "n2"
