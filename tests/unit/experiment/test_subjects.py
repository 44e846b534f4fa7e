"""Who plays which part, read from `inspect`."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from testbed.errors import UsageError
from testbed.experiment.subjects import node_of, subject_of
from testbed.ip import host_port
from tests.unit.experiment.fake_lab import POD, VIEW


def view(**changes: Any) -> dict[str, Any]:
    """The fake lab's, with some keys changed."""
    return copy.deepcopy(VIEW) | changes


def test_backends_are_behind_the_service_and_clients_are_not() -> None:
    subject = subject_of(view())
    assert [pod.name for pod in subject.backends] == ["web-0", "web-1"]
    assert [pod.name for pod in subject.clients] == ["client-n1-0", "client-n2-0"]
    assert subject.url() == "http://10.1.0.1:80/hostname"
    assert subject.direct_url(subject.backends[1]) == "http://10.0.2.2:8080/hostname"


def test_a_control_comes_from_another_pod_of_the_same_node_where_there_is_one() -> None:
    second = POD | {"name": "client-n1-1", "node": "n1", "ip": "10.0.1.4"}
    subject = subject_of(view(pods=[*VIEW["pods"], second]))
    assert [pod.name for pod in subject.clients] == ["client-n1-0", "client-n2-0"]
    assert [pod.name for pod in subject.controls] == ["client-n1-1", "client-n2-0"]


def test_a_control_goes_to_another_node_where_there_is_one() -> None:
    subject = subject_of(view())
    assert subject.control_for(subject.clients[0]).name == "web-1"
    assert subject.control_for(subject.clients[1]).name == "web-0"


def test_dns_is_nobody_s_subject_and_its_pods_are_no_clients() -> None:
    system = {"namespace": "kube-system", "name": "coredns-0", "node": "n1", "ip": "10.0.1.9"}
    dns = copy.deepcopy(VIEW["services"][0]) | {"namespace": "kube-system", "name": "kube-dns"}
    subject = subject_of(
        view(pods=[POD | system, *VIEW["pods"]], services=[dns, *VIEW["services"]])
    )
    assert subject.service == "web"
    assert "kube-system/coredns-0" not in [pod.name for pod in subject.clients]


def second_family(address: str) -> str:
    return f"fd00::{address.replace('.', ':')}"


@pytest.mark.parametrize(
    ("cluster_ip", "backend", "client"),
    [
        ("10.1.0.1", "10.0.1.2", "10.0.1.3"),
        ("fd00:1::1", second_family("10.0.1.2"), second_family("10.0.1.3")),
    ],
)
def test_everybody_goes_by_the_address_in_the_service_s_family(
    cluster_ip: str, backend: str, client: str
) -> None:
    pods = [pod | {"ips": [pod["ip"], second_family(pod["ip"])]} for pod in VIEW["pods"]]
    (web,) = copy.deepcopy(VIEW["services"])
    own = [row for row in web["endpoints"] if cluster_ip == web["clusterIP"]]
    own = own or [row | {"ip": second_family(row["ip"])} for row in web["endpoints"]]
    subject = subject_of(
        view(pods=pods, services=[web | {"clusterIP": cluster_ip, "endpoints": own}])
    )
    assert [pod.name for pod in subject.backends] == ["web-0", "web-1"]
    assert (subject.backends[0].ip, subject.clients[0].ip) == (backend, client)
    assert subject.controls[0].ip == client
    assert subject.direct_url(subject.backends[0]) == f"http://{host_port(backend, 8080)}/hostname"


def test_a_headless_service_has_no_address_to_dial() -> None:
    headless = copy.deepcopy(VIEW["services"][0]) | {"name": "pets", "clusterIP": "None"}
    assert subject_of(view(services=[headless, *VIEW["services"]])).service == "web"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"services": []}, "no service with endpoints"),
        ({"services": [VIEW["services"][0] | {"endpoints": []}]}, "no service with endpoints"),
        ({"pods": VIEW["pods"][:2]}, "no pod that could call"),
    ],
)
def test_a_lab_without_the_parts_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        subject_of(view(**changes))


@pytest.mark.parametrize(
    ("place", "node"),
    [("client-n2-0", "n2"), ("default/web-0", "n1"), ("n1", "n1"), ("outside", "")],
)
def test_the_node_of_a_place(place: str, node: str) -> None:
    assert node_of(view(), place) == node
