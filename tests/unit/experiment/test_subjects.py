"""Who plays which part, read from `inspect`."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from testbed.errors import UsageError
from testbed.experiment.subjects import node_of, subject_of
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
