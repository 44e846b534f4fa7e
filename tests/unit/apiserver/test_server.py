"""The API server under somebody else's client (lightkube), and bare where that says too little."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from lightkube import Client, KubeConfig
from lightkube.core.exceptions import ApiError
from lightkube.models.meta_v1 import ObjectMeta as Meta
from lightkube.resources.core_v1 import Endpoints, Namespace, Node, Service
from lightkube.resources.discovery_v1 import EndpointSlice

from testbed.apiserver.documents import kubeconfig
from testbed.model.objects.endpoint_slices import EndpointSlice as StoredSlice
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.services import Service as StoredService
from testbed.store import Create, Delete, Update
from tests.addresses import PLAN
from tests.unit.apiserver.served import Api


@pytest.fixture
def api() -> Iterator[Api]:
    with Api(is_open=True) as made:
        yield made


@pytest.fixture
def client(api: Api) -> Client:
    return Client(KubeConfig.from_dict(kubeconfig(api.url, "lab")))


def service(name: str, **changes: Any) -> StoredService:
    meta = ObjectMeta(name, "flows", labels={"made": "later"})
    return StoredService(meta, cluster_ips=("10.96.200.99",), **changes)


def test_lists_and_gets_what_the_store_holds(api: Api, client: Client) -> None:
    found = {item.metadata.name for item in client.list(Service, namespace="flows")}
    assert found == {item.meta.name for item in api.store.list(StoredService)}
    web = client.get(Service, "web", namespace="flows")
    assert web.spec.clusterIPs == ["10.96.200.1"]
    assert web.metadata.creationTimestamp is not None
    assert len(list(client.list(EndpointSlice, namespace="*"))) > 5
    assert client.get(Node, "n1").status.addresses[0].address == PLAN.nodes["n1"]
    assert {one.metadata.name for one in client.list(Namespace)} >= {"default", "flows"}


def test_selectors_narrow_a_list(client: Client) -> None:
    own = client.list(Node, fields={"metadata.name": "n2"})
    assert [node.metadata.name for node in own] == ["n2"]
    slices = client.list(
        EndpointSlice, namespace="flows", labels={"kubernetes.io/service-name": "web"}
    )
    assert [item.metadata.labels["kubernetes.io/service-name"] for item in slices] == ["web"]


def test_what_is_not_there_is_a_kubernetes_error(client: Client) -> None:
    with pytest.raises(ApiError) as caught:
        client.get(Service, "nobody", namespace="flows")
    assert caught.value.status.reason == "NotFound"


def test_nothing_can_be_written(client: Client) -> None:
    with pytest.raises(ApiError) as caught:
        client.create(Service(metadata=Meta(name="x", namespace="flows")))
    assert caught.value.status.code == 405


def test_a_watch_sees_every_change_after_its_list(api: Api, client: Client) -> None:
    watch = client.watch(Service, namespace="flows")
    known = len(api.store.list(StoredService))
    assert {next(watch)[0] for _ in range(known)} == {"ADDED"}
    api.write(Create(service("late")))
    api.write(Update(service("late", external_ips=("198.51.100.77",))))
    api.write(Delete("Service", "flows", "late"))
    seen = [next(watch) for _ in range(3)]
    assert [(kind, item.metadata.name) for kind, item in seen] == [
        ("ADDED", "late"),
        ("MODIFIED", "late"),
        ("DELETED", "late"),
    ]


def test_a_watch_list_ends_its_beginning_with_a_bookmark(api: Api) -> None:
    path = "/api/v1/services?watch=1&sendInitialEvents=true&allowWatchBookmarks=true"
    stream = api.watch(path + "&resourceVersionMatch=NotOlderThan")
    kinds = [next(stream) for _ in range(len(api.store.list(StoredService)) + 1)]
    assert {event["type"] for event in kinds[:-1]} == {"ADDED"}
    assert kinds[-1]["type"] == "BOOKMARK"
    assert kinds[-1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    version = str(api.store.resource_version)
    assert kinds[-1]["object"]["metadata"]["resourceVersion"] == version


def test_an_object_that_a_selector_loses_is_deleted_for_its_watcher(api: Api) -> None:
    version = api.store.resource_version
    api.write(Create(service("late")))
    path = "/api/v1/services?watch=1&labelSelector=made%3Dlater"
    stream = api.watch(f"{path}&resourceVersion={version}")
    assert next(stream)["type"] == "ADDED"
    plain = service("late")
    api.write(Update(replace(plain, meta=replace(plain.meta, labels={}))))
    assert next(stream)["type"] == "DELETED"


def test_a_version_of_long_ago_is_gone(api: Api) -> None:
    (event,) = api.watch("/api/v1/nodes?watch=1&resourceVersion=1")
    assert (event["type"], event["object"]["code"]) == ("ERROR", 410)


def test_a_watch_ends_when_it_is_told_to(api: Api) -> None:
    version = api.store.resource_version
    path = f"/api/v1/nodes?watch=1&timeoutSeconds=1&resourceVersion={version}"
    assert list(api.watch(path)) == []


def test_a_namespace_appears_with_its_first_object(api: Api) -> None:
    version = api.get("/api/v1/namespaces")["metadata"]["resourceVersion"]
    stream = api.watch(f"/api/v1/namespaces?watch=1&resourceVersion={version}")
    shop = StoredService(ObjectMeta("web", "shop"), cluster_ips=("10.96.200.98",))
    api.write(Create(shop))
    event = next(stream)
    assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "shop")


def test_endpoints_are_the_slices_in_their_old_form(api: Api, client: Client) -> None:
    (subset,) = client.get(Endpoints, "web", namespace="flows").subsets
    assert {one.ip for one in subset.addresses} == {PLAN.pods["web-0"], PLAN.pods["web-1"]}
    assert [(port.name, port.port) for port in subset.ports] == [("http", 8080)]
    stream = api.watch("/api/v1/endpoints?watch=1&fieldSelector=metadata.name%3Dweb")
    assert next(stream)["type"] == "ADDED"
    (slice_,) = (item for item in api.store.list(StoredSlice) if item.service == ("flows", "web"))
    api.write(Update(replace(slice_, endpoints=slice_.endpoints[:1])))
    event = next(stream)
    assert event["type"] == "MODIFIED"
    assert len(event["object"]["subsets"][0]["addresses"]) == 1


def test_service_cidrs_are_the_labs(api: Api) -> None:
    found = api.get("/apis/networking.k8s.io/v1/servicecidrs")
    assert [item["spec"]["cidrs"] for item in found["items"]] == [["10.96.0.0/16"]]


def test_posted_events_are_accepted_and_noted(api: Api) -> None:
    body = json.dumps({"reason": "Starting", "regarding": {"name": "n1"}}).encode()
    path = "/apis/events.k8s.io/v1/namespaces/default/events"
    head = {"Content-Type": "application/json"}
    request = urllib.request.Request(api.url + path, body, head, method="POST")
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 201
    assert [event["reason"] for event in api.events] == ["Starting"]


@pytest.mark.parametrize(
    "path", ["/version", "/api", "/apis", "/api/v1", "/apis/discovery.k8s.io/v1", "/apis/apps/v1"]
)
def test_discovery_answers(api: Api, path: str) -> None:
    assert api.get(path)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/api/v1/jobs", 404),
        ("/api/v1/pods?fieldSelector=spec.image%3Dx", 400),
        ("/api/v1/pods?labelSelector=a%20b", 400),
        ("/api/v1/pods?watch=1&resourceVersion=x", 400),
    ],
)
def test_a_request_that_cannot_be_answered_says_why(api: Api, path: str, code: int) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        api.get(path)
    assert json.load(caught.value)["code"] == code


def test_what_needs_no_token_shows_no_secrets(api: Api) -> None:
    for path in ("/api/v1/secrets", "/api/v1/secrets?watch=1", "/api/v1/namespaces/x/secrets/y"):
        answer = api.ask(path)
        assert (answer.code, answer.json["reason"]) == (403, "Forbidden")


def test_events_are_patched_in_whatever_way(api: Api) -> None:
    path = "/apis/events.k8s.io/v1/namespaces/default/events/e"
    head = {"Content_Type": "application/strategic-merge-patch+json"}
    assert api.ask(path, "PATCH", {"series": {"count": 2}}, **head).code == 200
    assert [event["series"] for event in api.events] == [{"count": 2}]
