"""Services get addresses and node ports, keep them, give them back, and are refused what others have."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.model.documents import IPAddress, ServiceCIDR
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.services import Service
from testbed.store import Create
from tests.unit.apiserver.clients import V4, V6, Client, Json, refusal

SELECTOR = {"app": "web"}
PORT: Json = {"port": 80}


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def dual() -> Client:
    return Client(V4, V6)


def spec(**more: Any) -> Json:
    return {"ports": [PORT], "selector": SELECTOR, **more}


def make(client: Client, name: str, **more: Any) -> Json:
    """The new service's spec."""
    found: Json = client.create("Service", name, spec=spec(**more))["spec"]
    return found


def addresses(client: Client) -> set[str]:
    return {item.meta.name for item in client.store.list(IPAddress)}


# Addresses


def test_each_service_has_an_address_of_its_own_and_an_object_says_whose(client: Client) -> None:
    found = {make(client, f"s{number}")["clusterIP"] for number in range(20)}
    assert len(found) == 20
    assert addresses(client) == found
    item = client.store.get(IPAddress, "", next(iter(sorted(found))))
    assert item.body["spec"]["parentRef"]["resource"] == "services"


def test_an_address_is_free_again_once_its_service_is_gone(client: Client) -> None:
    make(client, "one", clusterIP="10.96.0.9")
    client.delete("Service", "one")
    assert addresses(client) == set()
    assert make(client, "two", clusterIP="10.96.0.9")["clusterIPs"] == ["10.96.0.9"]


ADDRESS_REFUSED: dict[str, tuple[Json, str, str]] = {
    "taken": (
        {"clusterIP": "10.96.0.9"},
        "spec.clusterIPs",
        'Invalid value: ["10.96.0.9"]: failed to allocate IP 10.96.0.9: provided IP is already allocated',
    ),
    "out of range": (
        {"clusterIP": "10.97.0.9"},
        "spec.clusterIPs",
        "the provided IP (10.97.0.9) is not in the valid range. The range of valid IPs is 10.96.0.0/24",
    ),
    "of a family that the cluster lacks": (
        {"clusterIP": "fd00:96::9"},
        "spec.clusterIPs[0]",
        "IPv6 is not configured on this cluster",
    ),
    "families that the cluster lacks": (
        {"ipFamilies": ["IPv6"]},
        "spec.ipFamilies[0]",
        'Invalid value: "IPv6": not configured on this cluster',
    ),
    "two stacks where there is one": (
        {"ipFamilyPolicy": "RequireDualStack"},
        "spec.ipFamilyPolicy",
        "this cluster is not configured for dual-stack services",
    ),
    "two families of a single stack": (
        {"ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "SingleStack"},
        "spec.ipFamilyPolicy",
        "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified",
    ),
}


@pytest.mark.parametrize("name", ADDRESS_REFUSED)
def test_an_address_is_refused(client: Client, name: str) -> None:
    asked, field, words = ADDRESS_REFUSED[name]
    make(client, "one", clusterIP="10.96.0.9")
    status = refusal(make, client, "two", **asked)
    assert (status["code"], status["reason"]) == (422, "Invalid")
    (cause,) = [one for one in status["details"]["causes"] if one["field"] == field]
    assert words in cause["message"]


def test_a_range_that_is_used_up_is_an_internal_error() -> None:
    client = Client("10.96.0.0/29")
    for number in range(6):
        make(client, f"s{number}")
    status = refusal(make, client, "more")
    assert status["code"] == 500
    assert "failed to allocate a serviceIP: range is full" in status["message"]


def test_another_service_cidr_is_drawn_from_when_the_first_is_full() -> None:
    client = Client("10.96.0.0/29")
    more = {"spec": {"cidrs": ["10.97.0.0/24"]}}
    client.store.apply([Create(ServiceCIDR(ObjectMeta("more", rest=more)))])
    found = {make(client, f"s{number}")["clusterIP"] for number in range(8)}
    assert sum(ip.startswith("10.97.0.") for ip in found) == 2


def test_an_address_that_an_object_claims_is_taken(client: Client) -> None:
    parent = {"group": "", "resource": "gateways", "name": "gw"}
    claim = IPAddress(ObjectMeta("10.96.0.9", rest={"spec": {"parentRef": parent}}))
    client.store.apply([Create(claim)])
    status = refusal(make, client, "one", clusterIP="10.96.0.9")
    assert "provided IP is already allocated" in status["message"]


@pytest.mark.parametrize(
    "more", [{"clusterIP": "None"}, {"type": "ExternalName", "externalName": "a.b"}]
)
def test_some_services_have_no_address(client: Client, more: Json) -> None:
    make(client, "one", **more)
    assert addresses(client) == set()


# Two stacks


DUAL: dict[str, tuple[Json, list[str], str]] = {
    "by default one": ({}, ["IPv4"], "SingleStack"),
    "preferred two": ({"ipFamilyPolicy": "PreferDualStack"}, ["IPv4", "IPv6"], "PreferDualStack"),
    "the other one": ({"ipFamilies": ["IPv6"]}, ["IPv6"], "SingleStack"),
    "two, the other first": (
        {"ipFamilies": ["IPv6"], "ipFamilyPolicy": "RequireDualStack"},
        ["IPv6", "IPv4"],
        "RequireDualStack",
    ),
    "by its address": ({"clusterIP": "fd00:96::9"}, ["IPv6"], "SingleStack"),
}


@pytest.mark.parametrize("name", DUAL)
def test_families_follow_what_is_asked(dual: Client, name: str) -> None:
    asked, families, policy = DUAL[name]
    made = make(dual, "one", **asked)
    assert (made["ipFamilies"], made["ipFamilyPolicy"]) == (families, policy)
    assert ["IPv6" if ":" in ip else "IPv4" for ip in made["clusterIPs"]] == families
    assert made["clusterIP"] == made["clusterIPs"][0]


def test_headless_without_selector_is_of_both_families_whatever_the_cluster_has(
    client: Client,
) -> None:
    made = client.create("Service", "one", spec={"clusterIP": "None", "ports": [PORT]})["spec"]
    assert (made["ipFamilies"], made["ipFamilyPolicy"]) == (["IPv4", "IPv6"], "RequireDualStack")


def test_a_second_family_comes_and_goes_with_the_policy(dual: Client) -> None:
    first = make(dual, "one")["clusterIP"]
    both = dual.patch("Service", "one", {"spec": {"ipFamilyPolicy": "PreferDualStack"}}).body[
        "spec"
    ]
    assert both["ipFamilies"] == ["IPv4", "IPv6"]
    assert both["clusterIPs"][0] == first
    assert addresses(dual) == set(both["clusterIPs"])
    one = dual.patch("Service", "one", {"spec": {"ipFamilyPolicy": "SingleStack"}}).body["spec"]
    assert (one["clusterIPs"], one["ipFamilies"]) == ([first], ["IPv4"])
    assert addresses(dual) == {first}


# Updates and types


def test_a_client_need_not_repeat_what_was_allocated(client: Client) -> None:
    made = make(client, "one", type="NodePort")
    document = {"kind": "Service", "metadata": {"name": "one"}, "spec": spec(type="NodePort")}
    again = client.update(document)["spec"]
    assert again["clusterIP"] == made["clusterIP"]
    assert again["ports"] == made["ports"]


def test_the_address_stays(client: Client) -> None:
    make(client, "one")
    status = refusal(client.patch, "Service", "one", {"spec": {"clusterIP": "10.96.0.9"}})
    assert "may not change once set" in status["message"]


def test_a_change_of_type_gives_and_takes(client: Client) -> None:
    first = make(client, "one")
    node = client.patch("Service", "one", {"spec": {"type": "NodePort"}}).body["spec"]
    assert 30000 <= node["ports"][0]["nodePort"] <= 32767
    assert node["clusterIP"] == first["clusterIP"]
    assert node["externalTrafficPolicy"] == "Cluster"
    plain = client.patch("Service", "one", {"spec": {"type": "ClusterIP"}}).body["spec"]
    assert "nodePort" not in plain["ports"][0]
    assert "externalTrafficPolicy" not in plain
    named = client.patch(
        "Service", "one", {"spec": {"type": "ExternalName", "externalName": "example.com"}}
    ).body["spec"]
    gone = {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"}
    assert not gone & set(named)
    assert addresses(client) == set()
    back = client.patch("Service", "one", {"spec": {"type": "ClusterIP", "externalName": None}})
    assert back.body["spec"]["clusterIP"]


# Node ports


def test_a_node_port_is_one_services_whatever_the_protocol(client: Client) -> None:
    make(client, "one", type="NodePort", ports=[{"port": 80, "nodePort": 30080}])
    udp = [{"port": 80, "nodePort": 30080, "protocol": "UDP"}]
    status = refusal(make, client, "two", type="NodePort", ports=udp)
    (cause,) = status["details"]["causes"]
    assert cause == {
        "reason": "FieldValueInvalid",
        "message": "Invalid value: 30080: provided port is already allocated",
        "field": "spec.ports[0].nodePort",
    }


def test_a_node_port_out_of_range(client: Client) -> None:
    ports = [{"port": 80, "nodePort": 80}]
    status = refusal(make, client, "one", type="NodePort", ports=ports)
    assert "The range of valid ports is 30000-32767" in status["message"]


def test_one_port_of_two_protocols_has_one_node_port(client: Client) -> None:
    ports = [
        {"name": "tcp", "port": 53, "protocol": "TCP"},
        {"name": "udp", "port": 53, "protocol": "UDP"},
        {"name": "more", "port": 54},
    ]
    made = make(client, "dns", type="NodePort", ports=ports)["ports"]
    assert made[0]["nodePort"] == made[1]["nodePort"] != made[2]["nodePort"]


def test_a_local_load_balancer_has_a_health_check_port_of_its_own(client: Client) -> None:
    local = {"type": "LoadBalancer", "externalTrafficPolicy": "Local"}
    made = make(client, "one", **local)
    number = made["healthCheckNodePort"]
    assert number != made["ports"][0]["nodePort"]
    status = refusal(make, client, "two", **local, healthCheckNodePort=number)
    assert "provided port is already allocated" in status["message"]
    kept = client.patch("Service", "one", {"metadata": {"labels": {"a": "b"}}}).body["spec"]
    assert kept["healthCheckNodePort"] == number
    patch = {"spec": {"externalTrafficPolicy": "Cluster"}}
    assert "healthCheckNodePort" not in client.patch("Service", "one", patch).body["spec"]


def test_a_load_balancer_may_do_without_node_ports(client: Client) -> None:
    made = make(client, "one", type="LoadBalancer", allocateLoadBalancerNodePorts=False)
    assert "nodePort" not in made["ports"][0]


def test_what_others_wrote_to_the_store_counts_as_well(client: Client) -> None:
    client.store.apply(
        [Create(Service(ObjectMeta("other", "default"), cluster_ips=("10.96.0.9",)))]
    )
    status = refusal(make, client, "one", clusterIP="10.96.0.9")
    assert "provided IP is already allocated" in status["message"]
