"""Ingress by a real HAProxy: which host and path reaches whom, TLS, and endpoints that change under load."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.events import Event
from testbed.lab.api_client import ApiClient
from testbed.lab.client import Lab
from testbed.model.topology import Topology
from testbed.traffic.spec import LoadSpec
from tests.lab.conftest import ONCE, User, unique_name

pytestmark = pytest.mark.lab

PATIENCE_S = 60.0


def backend(service: str) -> dict[str, Any]:
    return {"service": {"name": service, "port": {"number": 80}}}


def path(path: str, service: str, kind: str = "Prefix") -> dict[str, Any]:
    return {"path": path, "pathType": kind, "backend": backend(service)}


def ingress(name: str, rules: dict[str, list[dict[str, Any]]], **more: Any) -> dict[str, Any]:
    annotations = {"haproxy.org/path-rewrite": "/hostname", **more.pop("annotations", {})}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {
            "rules": [{"host": host, "http": {"paths": paths}} for host, paths in rules.items()],
            **more,
        },
    }


ROUTES = ingress(
    "routes",
    {
        "shop.test": [
            path("/", "a"),
            path("/cart", "b"),
            path("/cart/", "c", "Exact"),
            path("/cart/paid", "c"),
        ],
        "*.shop.test": [path("/", "b")],
        "www.shop.test": [path("/only", "c")],
    },
    defaultBackend=backend("d"),
)
SECURE = ingress(
    "secure",
    {"tls.test": [path("/", "a")], "*.tls.test": [path("/", "b")]},
    tls=[{"hosts": ["tls.test", "*.tls.test"], "secretName": "made"}],
)
SEEN = ingress(
    "seen",
    {"seen.test": [path("/", "a")]},
    annotations={"haproxy.org/path-rewrite": "/header?key=X-Forwarded-For"},
)
SERVICES = ("a", "b", "c", "d")
TOPOLOGY = {
    "name": "ingress-routes",
    "dns": {"replicas": 0},
    "nodes": {"n1": {}, "n2": {}},
    "hosts": {"client": {}},
    "ingress": {
        "nodeSelector": {"kubernetes.io/hostname": "n1"},
        "certificates": {"made": {"hosts": ["tls.test", "*.tls.test"]}},
        "checkInterval": 0,
    },
    "workloads": {name: {} for name in SERVICES},
    "services": {name: {"port": 80} for name in SERVICES},
    "manifests": [ROUTES, SECURE, SEEN],
}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab.up(Topology.model_validate(TOPOLOGY), name=unique_name(), ephemeral=True) as running:
        yield running


def curl(lab: Lab, *arguments: str) -> str:
    """From the outside host; the status stands last."""
    line = ["curl", "-s", "-m", "20", "-w", " %{http_code}", *arguments]
    return lab.exec("client", line, 60).stdout.strip()


REACHED = (
    ("shop.test", "/", "a-0 200"),
    ("SHOP.test:80", "/other", "a-0 200"),
    ("shop.test", "/cart", "b-0 200"),
    ("shop.test", "/cart?x=1", "b-0 200"),
    ("shop.test", "/cart/x", "b-0 200"),
    ("shop.test", "/carts", "a-0 200"),
    ("shop.test", "/cart/", "c-0 200"),
    ("shop.test", "/cart/paid/now", "c-0 200"),
    ("shop.test", "/cart/paidnow", "b-0 200"),
    ("shop.test", "/Cart", "a-0 200"),
    ("x.shop.test", "/cart", "b-0 200"),
    ("x.y.shop.test", "/", "d-0 200"),
    ("www.shop.test", "/only/x", "c-0 200"),
    ("www.shop.test", "/", "d-0 200"),
    ("nobody.test", "/cart", "d-0 200"),
    ("172.18.0.2", "/", "d-0 200"),
)


def test_who_is_reached_by_host_and_path(lab: Lab) -> None:
    script = "\n".join(
        f"curl -s -m 20 -w ' %{{http_code}}\\n' --path-as-is -H 'Host: {host}' 'http://172.18.0.2{where}'"
        for host, where, _ in REACHED
    )
    said = lab.exec("client", ["sh", "-c", script], 120).stdout.splitlines()
    found = [(*row[:2], one) for row, one in zip(REACHED, said, strict=True)]
    assert found == list(REACHED)


def test_the_client_is_told_of_in_a_header(lab: Lab) -> None:
    (client,) = lab.exec("client", ["hostname", "-I"], 30).stdout.split()
    assert curl(lab, "-H", "Host: seen.test", "http://172.18.0.2/") == f"{client} 200"


@pytest.fixture(scope="module")
def authority(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found: Path = tmp_path_factory.mktemp("ca") / "ca.pem"
    found.write_text(lab.ca_certificate())
    return found


@pytest.mark.parametrize(("host", "pod"), [("tls.test", "a-0"), ("x.tls.test", "b-0")])
def test_tls_with_a_certificate_that_the_lab_made(
    lab: Lab, authority: Path, host: str, pod: str
) -> None:
    where = f"{host}:443:172.18.0.2"
    asked = ("--cacert", str(authority), "--resolve", where, f"https://{host}/")
    assert curl(lab, *asked, "--http2", "-w", " %{http_version}") == f"{pod} 2"
    assert curl(lab, *asked, "--http1.1") == f"{pod} 200"


def test_another_host_has_a_certificate_of_nobody(lab: Lab, authority: Path) -> None:
    asked = ("--cacert", str(authority), "--resolve", "shop.test:443:172.18.0.2")
    assert curl(lab, *asked, "https://shop.test/") == "000"
    assert curl(lab, *asked, "-k", "https://shop.test/") == "a-0 200"


def test_http_is_sent_to_https_where_there_is_a_certificate(lab: Lab) -> None:
    asked = ("-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", "-H", "Host: tls.test")
    assert curl(lab, *asked, "http://172.18.0.2/x?y=1") == "302 https://tls.test/x?y=1"


def asked(lab: Lab, where: str) -> Any:
    """What the lab's API answers."""
    client = ApiClient(lab.kubernetes())
    try:
        return client.get(where).body
    finally:
        client.close()


def test_ingresses_have_the_address_of_their_controller(lab: Lab) -> None:
    found = asked(lab, "/apis/networking.k8s.io/v1/namespaces/default/ingresses/routes")
    assert found["status"] == {"loadBalancer": {"ingress": [{"ip": "172.18.0.2"}]}}
    assert found["spec"]["ingressClassName"] == "haproxy"


def changed(**more: Any) -> Topology:
    return Topology.model_validate({**TOPOLOGY, **more})


def synced(lab: Lab, since_ns: int, wanted: Callable[[Event], bool] = lambda event: True) -> Event:
    return lab.wait_event(
        lambda event: (
            event.source == "ingress"
            and event.kind == "synced"
            and event.t_ns > since_ns
            and wanted(event)
        ),
        PATIENCE_S,
    )


def again(lab: Lab, topology: Topology) -> None:
    Lab.up(topology, name=lab.name)


def test_what_changes_is_told_while_it_serves(lab: Lab) -> None:
    since_ns = lab.now_ns()
    rules = {"new.test": [path("/", "c")], "*.shop.test": [path("/", "a")]}
    again(lab, changed(manifests=[ROUTES, SECURE, SEEN, ingress("more", rules)]))
    assert synced(lab, since_ns).detail["reload"] == ""
    assert curl(lab, "-H", "Host: new.test", "http://172.18.0.2/") == "c-0 200"
    assert curl(lab, "-H", "Host: x.shop.test", "http://172.18.0.2/") == "b-0 200"  # it is older
    messages = [one["message"] for one in asked(lab, "/api/v1/namespaces/default/events")["items"]]
    assert "*.shop.test/ is default/routes's already, which is older" in messages


def test_a_certificate_is_renewed_while_it_serves(lab: Lab, authority: Path) -> None:
    since_ns = lab.now_ns()
    made = {"hosts": ["tls.test", "*.tls.test", "third.test"]}
    secure = ingress(
        "secure",
        {"third.test": [path("/", "c")]},
        tls=[{"hosts": ["third.test"], "secretName": "made"}],
    )
    ingresses = {**TOPOLOGY["ingress"], "certificates": {"made": made}}
    again(lab, changed(manifests=[ROUTES, secure, SEEN], ingress=ingresses))
    assert synced(lab, since_ns).detail["reload"] == ""
    asked_of = ("--cacert", str(authority), "--resolve", "third.test:443:172.18.0.2")
    assert curl(lab, *asked_of, "https://third.test/") == "c-0 200"


WRONG = ingress(
    "wrong",
    {"wrong.test": [path("/", "nobody")]},
    tls=[{"hosts": ["wrong.test"], "secretName": "none"}],
    annotations={"haproxy.org/ssl-redirect": "false"},
)


def test_what_is_wrong_is_said_in_events(lab: Lab) -> None:
    again(lab, changed(manifests=[ROUTES, SECURE, SEEN, WRONG]))
    lab.wait_event(lambda event: event.kind == "SecretNotFound", PATIENCE_S)
    rows = asked(lab, "/api/v1/namespaces/default/events")["items"]
    said = {
        (row["reason"], row["message"]) for row in rows if row["involvedObject"]["name"] == "wrong"
    }
    assert said == {
        ("ServiceNotFound", "there is no service default/nobody"),
        (
            "SecretNotFound",
            "there is no secret default/none: the default certificate is shown instead",
        ),
    }
    text = "the ingress names a service that is not there\n 503"
    assert curl(lab, "-H", "Host: wrong.test", "http://172.18.0.2/") == text


def test_no_request_fails_while_endpoints_and_backends_change(lab: Lab) -> None:
    plain = ingress(
        "plain", {"load.test": [path("/", "a")]}, annotations={"haproxy.org/path-rewrite": "/"}
    )
    # A pod that ends at once may do so before HAProxy has heard of it; Kubernetes' remedy is a preStop sleep.
    lingering = {"lifecycle": {"preStop": {"sleep": {"seconds": 5}}}}
    others = {name: {} for name in SERVICES[:-1]}
    again(lab, changed(workloads={**others, "d": lingering}))
    load = lab.start_load(
        LoadSpec(
            source="client",
            url="http://172.18.0.2/hostname",
            rate_rps=150,
            reuse=25,
            duration_s=300,  # it is stopped
            timeout_s=PATIENCE_S,
            drain_s=PATIENCE_S,
            seed=7,
        )
    )
    rules = [ROUTES, SECURE, SEEN]
    for count in (4, 1, 3):
        workloads = {**others, "d": {**lingering, "replicas": count}}
        more = [plain] if count == 1 else []
        again(lab, changed(workloads=workloads, manifests=[*rules, *more]))
    load.stop()
    found = load.wait().summary
    assert found["outcomes"] == {"ok": found["requests"]}
    told = [one for one in lab.events() if (one.source, one.kind) == ("ingress", "synced")]
    reloads = [one.detail["reload"] for one in told if one.detail["reload"]]
    assert len(reloads) >= 3  # its start, a backend more, a backend less
    assert len(found["backends"]) >= 4


NODE_PORT = {
    **TOPOLOGY,
    "name": "ingress-node-port",
    "nodes": {"n1": {}},
    "ingress": {"expose": "NodePort", "certificates": {"made": {"hosts": ["tls.test"]}}},
    "workloads": {"a": {}, "b": {}},
    "services": {"a": {"port": 80}, "b": {"port": 80}},
    "manifests": [SECURE],
}


@ONCE
def test_by_a_service_typed_by_anybody(user: User) -> None:
    """A NodePort; the redirect names the port that is open outside, and the CA is had by a command."""
    name = unique_name()
    done = user.testbed("up", user.file("ingress.json", json.dumps(NODE_PORT)), "--name", name)
    assert done.returncode == 0, done.stderr
    try:
        ca = user.file("ca.pem", user.testbed("ca", name).stdout)
        line = (
            "curl -s -o /dev/null -w '%{redirect_url} ' -H 'Host: tls.test' http://172.18.0.2:30080/;"
            f"curl -s --cacert {ca} --resolve tls.test:30443:172.18.0.2 https://tls.test:30443/"
        )
        done = user.testbed("exec", name, "client", "--", "sh", "-c", line)
        assert done.stdout == "https://tls.test:30443/ a-0", done.stderr
    finally:
        user.testbed("down", name)
