"""Who comes in, and what becomes of what makes no sense."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from testbed.apiserver.bodies import LIMIT
from testbed.model.documents import ConfigMap
from testbed.model.manifest import from_client
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.pods import Pod
from testbed.store import Create
from tests.unit.apiserver.served import PATIENCE_S, TOKEN, USER, Api, status

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with Api() as made:
        yield made


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer sesam",
        f"Bearer {TOKEN}x",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer \xff",
    ],
)
@pytest.mark.parametrize(
    "path", ["/api/v1/pods", "/version", "/apis", "/api/v1/pods?watch=1", "/no"]
)
def test_nobody_comes_in_without_a_token(api: Api, authorization: str, path: str) -> None:
    answer = api.ask(path, Authorization=authorization)
    assert (answer.code, status(answer)["reason"]) == (401, "Unauthorized")


@pytest.mark.parametrize(
    "path", ["/livez", "/readyz", "/healthz", "/readyz/ping", "/livez?verbose"]
)
def test_whoever_looks_after_the_server_needs_none(api: Api, path: str) -> None:
    assert api.ask(path, Authorization="").body == b"ok"


def test_nobody_else_is_let_in_beside_them(api: Api) -> None:
    assert api.ask("/livezebra", Authorization="").code == 401
    assert api.ask("/livez/../api/v1/pods", Authorization="").code == 401


@pytest.mark.parametrize(
    ("method", "path", "body", "refusal"),
    [
        ("GET", "/api/v1/nothing", None, "404 NotFound"),
        ("GET", "/apis/nothing.example/v1", None, "404 NotFound"),
        ("GET", "/", None, "404 NotFound"),
        ("GET", "/api/v1/namespaces/flows/pods/nobody", None, "404 NotFound"),
        ("POST", "/api/v1/pods", {}, "405 MethodNotAllowed"),
        ("DELETE", "/api/v1/namespaces", None, "405 MethodNotAllowed"),
        ("PUT", "/api/v1/nodes", {}, "405 MethodNotAllowed"),
        ("POST", "/api/v1/nodes/n1", {}, "405 MethodNotAllowed"),
        ("OPTIONS", "/api/v1/nodes/n1", None, "405 MethodNotAllowed"),
        (
            "GET",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            None,
            "405 MethodNotAllowed",
        ),
        ("GET", "/api/v1/namespaces/flows/pods/x/binding", None, "405 MethodNotAllowed"),
        ("GET", "/api/v1/namespaces/flows/pods/x/exec", None, "405 MethodNotAllowed"),
        ("POST", "/api/v1/namespaces", b"{", "400 BadRequest"),
        ("POST", "/api/v1/namespaces", b"[" * 100_000, "400 BadRequest"),
        ("POST", "/api/v1/namespaces", b"[]", "400 BadRequest"),
        ("POST", "/api/v1/namespaces", b"x" * (LIMIT + 1), "413 RequestEntityTooLarge"),
        ("GET", "/api/v1/pods?limit=many", None, "400 BadRequest"),
        ("GET", "/api/v1/pods?resourceVersion=999999", None, "504 Timeout"),
        ("GET", "/api/v1/nodes/n1?resourceVersion=999999", None, "504 Timeout"),
    ],
)
def test_what_makes_no_sense_is_told_so(
    api: Api, method: str, path: str, body: Any, refusal: str
) -> None:
    answer = api.ask(path, method, body)
    assert f"{answer.code} {status(answer)['reason']}" == refusal


def test_a_body_of_an_unknown_type_and_an_answer_in_one(api: Api) -> None:
    text = api.ask("/api/v1/namespaces", "POST", b"<x/>", Content_Type="text/xml")
    assert (text.code, status(text)["reason"]) == (415, "UnsupportedMediaType")
    html = api.ask("/api/v1/namespaces", Accept="text/html")
    assert (html.code, status(html)["reason"]) == (406, "NotAcceptable")


def test_a_garbled_request_ends_that_connection_and_no_other(api: Api) -> None:
    with socket.create_connection(("127.0.0.1", api.port), PATIENCE_S) as garbled:
        garbled.sendall(b"\0\0 nonsense\r\n\r\n")
        assert garbled.recv(100).startswith(b"HTTP/1.0 400")
    assert api.ask("/version").code == 200


@pytest.mark.parametrize("path", ["/version", "/version/"])
def test_a_version_says_whose_it_is(api: Api, path: str) -> None:
    found = api.get(path)
    assert (found["major"], found["minor"], "testbed" in found["gitVersion"]) == ("1", "36", True)


@pytest.mark.parametrize("path", ["/api", "/apis"])
def test_discovery_that_a_client_has_is_not_sent_again(api: Api, path: str) -> None:
    wanted = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    whole = api.ask(path, Accept=f"{wanted},application/json")
    assert whole.headers["Content-Type"] == wanted
    assert whole.json["kind"] == "APIGroupDiscoveryList"
    tag = whole.headers["ETag"]
    again = api.ask(path, Accept=wanted, If_None_Match=tag)
    assert (again.code, again.body) == (304, b"")
    assert api.get(path)["kind"] in {"APIVersions", "APIGroupList"}


def test_who_asks_is_told_what_they_may(api: Api) -> None:
    root = "/apis/authorization.k8s.io/v1"
    spec = {"resourceAttributes": {"verb": "delete", "resource": "pods"}}
    allowed = api.ask(f"{root}/selfsubjectaccessreviews", "POST", {"spec": spec}).json
    assert (allowed["status"]["allowed"], allowed["spec"]) == (True, spec)
    rules = api.ask(f"{root}/selfsubjectrulesreviews", "POST", {}).json
    assert rules["status"]["resourceRules"][0]["verbs"] == ["*"]
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    assert api.ask(path, "POST", {}).json["status"]["userInfo"]["username"] == USER


def test_a_table_and_metadata_alone(api: Api) -> None:
    table = api.get("/api/v1/nodes", Accept=TABLE)
    assert (table["kind"], table["columnDefinitions"][0]["format"]) == ("Table", "name")
    assert [row["cells"][0] for row in table["rows"]] == ["n1", "n2", "n3"]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    one = api.get("/api/v1/nodes/n1?includeObject=None", Accept=TABLE)
    assert [row["cells"][0] for row in one["rows"]] == ["n1"]
    assert "object" not in one["rows"][0]
    metadata = "application/json;as={};g=meta.k8s.io;v=v1"
    few = api.get("/api/v1/nodes?limit=1", Accept=metadata.format("PartialObjectMetadataList"))
    assert (few["kind"], few["metadata"]["remainingItemCount"]) == ("PartialObjectMetadataList", 2)
    assert set(few["items"][0]) == {"kind", "apiVersion", "metadata"}
    one = api.get("/api/v1/nodes/n1", Accept=metadata.format("PartialObjectMetadata"))
    assert (one["kind"], one["metadata"]["name"]) == ("PartialObjectMetadata", "n1")


def test_what_is_large_comes_in_parts_and_compressed(api: Api) -> None:
    data = {"data": {"text": "x" * 20_000}}
    api.write(*(Create(ConfigMap(ObjectMeta(f"m{n:03}", "big", rest=data))) for n in range(300)))
    path = "/api/v1/namespaces/big/configmaps"
    plain = api.ask(path)
    assert plain.headers["Content-Encoding"] is None
    assert [one["metadata"]["name"] for one in plain.json["items"]] == [
        f"m{n:03}" for n in range(300)
    ]
    squeezed = api.ask(path, Accept_Encoding="deflate;q=0.5, gzip")
    assert squeezed.headers["Content-Encoding"] == "gzip"
    assert len(squeezed.body) < len(plain.body) / 10
    assert json.loads(gzip.decompress(squeezed.body)) == plain.json
    small = api.ask(f"{path}?limit=1", Accept_Encoding="gzip")
    assert small.headers["Content-Encoding"] is None
    refused = api.ask(path, Accept_Encoding="gzip;q=0")
    assert refused.headers["Content-Encoding"] is None


def test_events_are_served_in_either_form(api: Api) -> None:
    event = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "e1", "namespace": "flows"},
        "regarding": {"kind": "Pod", "name": "web-0", "namespace": "flows"},
        "reason": "Killing",
        "note": "gone",
        "type": "Normal",
        "action": "Stop",
        "reportingController": "example.com/x",
        "reportingInstance": "x-1",
        "eventTime": "2026-11-21T18:00:00.000000Z",
    }
    root = "/apis/events.k8s.io/v1/namespaces/flows/events"
    api.write(
        Create(
            from_client({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "flows"}})
        )
    )
    answer = api.ask(root, "POST", event)
    assert answer.code == 201, answer.body
    assert answer.json["note"] == "gone"
    core = api.get("/api/v1/namespaces/flows/events/e1")
    assert (core["involvedObject"]["name"], core["message"]) == ("web-0", "gone")
    (new,) = api.get(f"{root}?fieldSelector=regarding.name%3Dweb-0")["items"]
    assert (new["apiVersion"], new["note"]) == ("events.k8s.io/v1", "gone")


def test_a_scale_can_be_read(api: Api) -> None:
    template = {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c", "image": "x"}]},
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "flows"},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"a": "b"}}, "template": template},
    }
    api.write(Create(from_client(deployment)))
    scale = api.get("/apis/apps/v1/namespaces/flows/deployments/web/scale")
    assert (scale["kind"], scale["spec"]["replicas"], scale["status"]["selector"]) == (
        "Scale",
        3,
        "a=b",
    )
    whole = api.get("/apis/apps/v1/namespaces/flows/deployments/web/status")
    assert whole["kind"] == "Deployment"


def test_a_pod_says_when_its_containers_were_started(api: Api) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "timed", "namespace": "flows"},
        "spec": {"containers": [{"name": "main", "image": "x"}]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [
                {"name": "main", "ready": True, "restartCount": 0, "state": {"running": {}}}
            ],
        },
        "testbed": {"readyChangedSeconds": 7.0, "containersStartedSeconds": {"main": 5.0}},
    }
    made = from_client(pod)
    assert isinstance(made, Pod)
    api.write(Create(made))
    found = api.get("/api/v1/namespaces/flows/pods/timed")["status"]
    assert found["startTime"] == "2023-11-14T22:13:25Z"
    (container,) = found["containerStatuses"]
    assert container["state"]["running"]["startedAt"] == "2023-11-14T22:13:25Z"
    ready = next(one for one in found["conditions"] if one["type"] == "Ready")
    assert ready["lastTransitionTime"] == "2023-11-14T22:13:27Z"
