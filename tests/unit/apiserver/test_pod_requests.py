"""What requests to pods ask for, and how answers are spelt."""

from __future__ import annotations

import json
from typing import Any

import pytest

from testbed.apiserver.failure import ApiFailure
from testbed.apiserver.pod_commands import exit_status
from testbed.apiserver.pod_logs import LogOptions, log_options
from testbed.apiserver.pod_proxy import (
    Destination,
    ProxyName,
    pod_destination,
    proxy_name,
    service_destination,
)
from testbed.apiserver.streaming import container_of
from testbed.model.containers import Container, ContainerPort
from testbed.model.objects.endpoint_slices import (
    SERVICE_NAME_LABEL,
    Endpoint,
    EndpointPort,
    EndpointSlice,
)
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.pods import Pod, PodSpec, PodStatus
from testbed.model.objects.services import Service, ServicePort
from testbed.store import Create, Store

NOW_NS = 1_700_000_000_000_000_000


def pod(*names: str, **annotations: str) -> Pod:
    ports = (ContainerPort(8080, "http"), ContainerPort(9090, "more"))
    spec = PodSpec(tuple(Container(name, "x", ports) for name in names), node_name="n1")
    status = PodStatus("Running", ("10.244.0.7",))
    return Pod(ObjectMeta("p", "default", annotations=annotations), spec, status)


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ({}, LogOptions()),
        ({"follow": "true", "previous": "1", "timestamps": "t"},
         LogOptions(follow=True, previous=True, timestamps=True)),
        ({"tailLines": "0", "limitBytes": "9"}, LogOptions(tail_lines=0, limit_bytes=9)),
        ({"sinceSeconds": "10"}, LogOptions(since_ns=NOW_NS - 10**10)),
        ({"sinceTime": "2023-11-14T22:13:20Z"}, LogOptions(since_ns=NOW_NS)),
    ],
)  # fmt: skip
def test_log_options(query: dict[str, str], options: LogOptions) -> None:
    assert log_options(query, NOW_NS) == options


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ({"tailLines": "-1"}, "tailLines: must be greater than or equal to 0"),
        ({"limitBytes": "x"}, "limitBytes: 'x' is no whole number"),
        ({"sinceTime": "noon"}, "sinceTime: 'noon' is no RFC 3339 time"),
        ({"sinceTime": "2023-11-14T22:13:20Z", "sinceSeconds": "1"}, "at most one of"),
    ],
)
def test_wrong_log_options(query: dict[str, str], why: str) -> None:
    with pytest.raises(ApiFailure) as caught:
        log_options(query, NOW_NS)
    assert caught.value.code == 400
    assert why in caught.value.message


def test_which_container_is_meant() -> None:
    assert container_of(pod("a"), "").name == "a"
    assert container_of(pod("a", "b"), "b").name == "b"
    chosen = pod("a", "b", **{"kubectl.kubernetes.io/default-container": "b"})
    assert container_of(chosen, "").name == "b"
    for name, why in (
        ("", "a container name must be specified for pod p, choose one of: [a b]"),
        ("c", "container c is not valid for pod p"),
    ):
        with pytest.raises(ApiFailure) as caught:
            container_of(pod("a", "b"), name)
        assert (caught.value.code, caught.value.message) == (400, why)


def test_how_a_command_ended() -> None:
    assert exit_status(0)["status"] == "Success"
    failed = json.loads(json.dumps(exit_status(3)))
    assert failed["reason"] == "NonZeroExitCode"
    assert failed["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("web", ProxyName("web")),
        ("web:80", ProxyName("web", "80")),
        ("http:web:", ProxyName("web")),
        ("https:web:tls", ProxyName("web", "tls", True)),
        ("a:b:c", None),
        ("a:b:c:d", None),
    ],
)
def test_names_of_what_is_proxied(text: str, name: ProxyName | None) -> None:
    if name is None:
        with pytest.raises(ApiFailure):
            proxy_name(text)
    else:
        assert proxy_name(text) == name


@pytest.mark.parametrize(
    ("wanted", "port"),
    [(ProxyName("p"), 8080), (ProxyName("p", "more"), 9090), (ProxyName("p", "7"), 7)],
)
def test_a_pod_is_reached_from_its_node(wanted: ProxyName, port: int) -> None:
    assert pod_destination(pod("a"), wanted) == Destination("10.244.0.7", port, "n1")


def test_a_service_is_reached_at_a_ready_endpoint() -> None:
    service = Service(ObjectMeta("web", "default"), (ServicePort(80, "http", target_port=8080),))
    slices = EndpointSlice(
        ObjectMeta("web-1", "default", labels={SERVICE_NAME_LABEL: "web"}),
        (Endpoint(("10.244.0.8",), ready=False), Endpoint(("10.244.0.7",), node_name="n1")),
        (EndpointPort(8080, "http"),),
    )
    store = Store(lambda: 0.0)
    store.apply([Create(service), Create(slices)])
    for port in ("", "http", "80"):
        found = service_destination(service, ProxyName("web", port), store.snapshot())
        assert found == Destination("10.244.0.7", 8080, "n1")
    wrong: list[tuple[Any, str]] = [
        (store.snapshot(), 'no service port "x" found for service "web"'),
        (Store(lambda: 0.0).snapshot(), 'no endpoints available for service "web"'),
    ]
    for snapshot, why in wrong:
        with pytest.raises(ApiFailure) as caught:
            service_destination(service, ProxyName("web", "x" if "port" in why else ""), snapshot)
        assert (caught.value.code, caught.value.message) == (503, why)
