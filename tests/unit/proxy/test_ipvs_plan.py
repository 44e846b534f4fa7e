"""What one service becomes in IPVS mode, in full; and two that want the same."""

from __future__ import annotations

from collections.abc import Iterable

from testbed.model.objects.endpoint_slices import (
    SERVICE_NAME_LABEL,
    Endpoint,
    EndpointPort,
    EndpointSlice,
)
from testbed.model.objects.metadata import Object, ObjectMeta
from testbed.model.objects.services import LoadBalancerIngress, Service, ServicePort
from testbed.proxy.ipvs import IpvsBackend
from testbed.proxy.ruleset import Ruleset
from testbed.proxy.table import forwarding_table
from tests.addresses import EXTERNAL_IP, FAR_CIDR, LOAD_BALANCER_IP, PLAN, STICKY, WEB
from tests.unit.proxy.states import CONFIG, snapshot_with, table_of

HERE, THERE = PLAN.pods["web-0"], PLAN.pods["web-1"]
NODE = PLAN.nodes["n1"]


def service(name: str, ip: str, **fields: object) -> tuple[Object, ...]:
    """A service with an endpoint on this node and one on another."""
    meta = ObjectMeta(name, "ns1")
    ports = (ServicePort(80, "http", node_port=int(fields.pop("node_port", 0))),)  # type: ignore[call-overload]
    endpoints = (Endpoint((HERE,), node_name="n1"), Endpoint((THERE,), node_name="n2"))
    labelled = ObjectMeta(f"{name}-a", "ns1", labels={SERVICE_NAME_LABEL: name})
    return (
        Service(meta, ports, cluster_ips=(ip,), **fields),  # type: ignore[arg-type]
        EndpointSlice(labelled, endpoints, (EndpointPort(8080, "http"),)),
    )


def plan(objects: Iterable[Object], previous: Ruleset | None = None) -> Ruleset:
    return IpvsBackend("mh", "legacy").plan(table_of(snapshot_with(objects)), previous)


SPECIAL = service(
    "special",
    STICKY,
    node_port=30080,
    type="LoadBalancer",
    session_affinity="ClientIP",
    external_traffic_policy="Local",
    load_balancer_ingress=(LoadBalancerIngress(LOAD_BALANCER_IP),),
    load_balancer_source_ranges=(FAR_CIDR,),
    health_check_node_port=32000,
)


def test_virtual_servers() -> None:
    here, there = f"-r {HERE}:8080 -m -w 1", f"-r {THERE}:8080 -m -w 1"
    options = "-s mh -p 10800 -b mh-port"
    assert dict(plan(SPECIAL).tables["ipvs"]) == {
        f"-t {STICKY}:80": (
            f"-A -t {STICKY}:80 {options}",
            f"-a -t {STICKY}:80 {here}",
            f"-a -t {STICKY}:80 {there}",
        ),
        f"-t {LOAD_BALANCER_IP}:80": (
            f"-A -t {LOAD_BALANCER_IP}:80 {options}",
            f"-a -t {LOAD_BALANCER_IP}:80 {here}",
        ),
        f"-t {NODE}:30080": (f"-A -t {NODE}:30080 {options}", f"-a -t {NODE}:30080 {here}"),
    }


def test_addresses_and_set_entries() -> None:
    tables = plan(SPECIAL).tables
    assert sorted(tables["address"]) == sorted(["device", f"{STICKY}/32", f"{LOAD_BALANCER_IP}/32"])
    entries = {key for key in tables["ipset"] if " " in key}
    balanced = f"{LOAD_BALANCER_IP},tcp:80"
    assert entries == {
        f"KUBE-CLUSTER-IP {STICKY},tcp:80",
        f"KUBE-LOAD-BALANCER {balanced}",
        f"KUBE-LOAD-BALANCER-LOCAL {balanced}",
        f"KUBE-LOAD-BALANCER-FW {balanced}",
        f"KUBE-LOAD-BALANCER-SOURCE-CIDR {balanced},{FAR_CIDR}",
        "KUBE-NODE-PORT-TCP 30080",
        "KUBE-NODE-PORT-LOCAL-TCP 30080",
        "KUBE-HEALTH-CHECK-NODE-PORT 32000",
        f"KUBE-LOOP-BACK {HERE},tcp:8080,{HERE}",
        f"KUBE-IPVS-IPS {STICKY}",
        f"KUBE-IPVS-IPS {LOAD_BALANCER_IP}",
    }


def test_rules_are_those_of_sets_that_have_entries() -> None:
    tables = plan(SPECIAL).tables
    targets = [rule.rpartition("-j ")[2] for rule in tables["nat"]["KUBE-SERVICES"]]
    assert targets == [
        *("RETURN", "KUBE-LOAD-BALANCER", "KUBE-MARK-MASQ", "KUBE-NODE-PORT", "ACCEPT", "ACCEPT")
    ]
    assert tables["filter"]["KUBE-IPVS-OUT-FILTER"] == (
        f"-A KUBE-IPVS-OUT-FILTER -s {LOAD_BALANCER_IP}/32 -m ipvs --vproto 6"
        f" --vaddr {LOAD_BALANCER_IP} --vport 80 -j DROP",
    )
    bare = plan(()).tables["nat"]["KUBE-SERVICES"]
    assert [rule.rpartition("-j ")[2] for rule in bare] == ["RETURN", "KUBE-NODE-PORT"]


def test_of_two_services_that_want_one_address_the_first_has_it() -> None:
    first = service("first", WEB, external_ips=(EXTERNAL_IP,))
    second = service("second", STICKY, external_ips=(EXTERNAL_IP,), session_affinity="ClientIP")
    both, alone = plan((*first, *second)), plan(second)
    key = f"-t {EXTERNAL_IP}:80"
    assert "-p 10800" not in both.tables["ipvs"][key][0]
    assert "-p 10800" in alone.tables["ipvs"][key][0]
    assert plan((*first, *second), alone) == both
    assert plan(second, both) == alone


def test_an_address_that_the_node_has_is_not_bound() -> None:
    tables = plan(service("own", WEB, external_ips=(NODE,))).tables
    assert f"-t {NODE}:80" in tables["ipvs"]
    assert f"{NODE}/32" not in tables["address"]
    assert f"KUBE-IPVS-IPS {NODE}" not in tables["ipset"]


def test_another_node_s_plan_saves_work_and_changes_nothing() -> None:
    snapshot = snapshot_with(SPECIAL)
    backend = IpvsBackend("mh", "legacy")
    table = table_of(snapshot)
    other = forwarding_table(snapshot, CONFIG, "n2", table)
    assert backend.plan(other, backend.plan(table)) == backend.plan(table_of(snapshot, "n2"))
