"""Kubernetes' semantics of a service port, as a node forwards it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.model.objects.endpoint_slices import (
    SERVICE_NAME_LABEL,
    Endpoint,
    EndpointPort,
    EndpointSlice,
)
from testbed.model.objects.metadata import Object, ObjectMeta
from testbed.model.objects.nodes import ZONE_LABEL
from testbed.model.objects.services import (
    SERVICE_PROXY_NAME_LABEL,
    LoadBalancerIngress,
    Service,
    ServicePort,
)
from testbed.proxy.iptables import IptablesBackend
from testbed.proxy.table import ServicePortEntry, forwarding_table
from testbed.store import Create, Delete, Store, Update, Write
from tests import addresses as a
from tests.addresses import PLAN, PLAN6
from tests.flows import nodes
from tests.unit.proxy.states import CONFIG, snapshot_with, table_of

META = ObjectMeta("web", "shop")
SERVICE = Service(META, (ServicePort(80, "http"),), cluster_ips=(a.WEB,))
LABELLED = ObjectMeta("web-a", "shop", labels={SERVICE_NAME_LABEL: "web"})
READY = {pod: Endpoint((ip,), node_name=PLAN.pod_nodes[pod]) for pod, ip in PLAN.pods.items()}
SLICE = EndpointSlice(LABELLED, (READY["web-0"], READY["web-1"]), (EndpointPort(8080, "http"),))


def entry(*objects: Object, node: str = "n1") -> ServicePortEntry:
    (only,) = table_of(snapshot_with(objects), node).ports
    return only


def texts(endpoints: tuple[object, ...]) -> list[str]:
    return [endpoint.text for endpoint in endpoints]  # type: ignore[attr-defined]


def test_endpoints_are_ordered_by_their_text_as_kube_proxy_orders_them() -> None:
    found = entry(SERVICE, replace(SLICE, endpoints=(READY["web-2"], READY["web-0"])))
    assert texts(found.cluster_endpoints) == [
        f"{PLAN.pods['web-0']}:8080",
        f"{PLAN.pods['web-2']}:8080",
    ]
    assert PLAN.pods["web-0"].endswith(".10")
    assert PLAN.pods["web-2"].endswith(".9")


def test_an_endpoint_knows_its_node() -> None:
    found = entry(SERVICE, SLICE, node="n2")
    assert [endpoint.node for endpoint in found.cluster_endpoints] == ["n1", "n2"]


def test_only_the_first_address_of_an_endpoint_counts() -> None:
    two = Endpoint((PLAN.pods["web-0"], PLAN.pods["web-1"]))
    found = entry(SERVICE, replace(SLICE, endpoints=(two, Endpoint(()))))
    assert texts(found.cluster_endpoints) == [f"{PLAN.pods['web-0']}:8080"]


@pytest.mark.parametrize(
    "ignored",
    [
        replace(SLICE, address_type="IPv6"),
        replace(SLICE, ports=(EndpointPort(8080, "other"),)),
        replace(SLICE, ports=(EndpointPort(8080, "http", "UDP"),)),
        replace(SLICE, ports=(EndpointPort(0, "http"),)),
        replace(SLICE, meta=replace(LABELLED, labels={SERVICE_NAME_LABEL: "other"})),
        replace(SLICE, meta=replace(LABELLED, namespace="elsewhere")),
    ],
    ids=["IPv6", "another port", "another protocol", "no port", "another service", "namespace"],
)
def test_slices_that_are_not_this_ports_do_not_count(ignored: EndpointSlice) -> None:
    found = entry(SERVICE, ignored)
    assert found.cluster_endpoints == ()
    assert found.has_endpoints is False


@pytest.mark.parametrize("first", ["a", "b"])
def test_of_two_equal_endpoints_the_one_that_does_not_terminate_counts(first: str) -> None:
    ending = replace(READY["web-0"], ready=False, terminating=True)
    second = "b" if first == "a" else "a"
    slices = [
        EndpointSlice(replace(LABELLED, name=f"web-{name}"), (endpoint,), SLICE.ports)
        for name, endpoint in ((first, ending), (second, READY["web-0"]))
    ]
    found = entry(SERVICE, *slices, replace(SLICE, meta=replace(LABELLED, name="web-c")))
    assert len(found.cluster_endpoints) == 2
    assert found.known_endpoints == 2


def test_a_terminating_endpoint_keeps_its_connections_but_gets_none() -> None:
    ending = replace(READY["web-1"], ready=False, terminating=True)
    found = entry(SERVICE, replace(SLICE, endpoints=(READY["web-0"], ending)))
    assert len(found.cluster_endpoints) == 1
    assert len(found.serving_endpoints) == 2


def test_the_fall_back_to_terminating_is_decided_for_each_policy_by_itself() -> None:
    local = replace(SERVICE, internal_traffic_policy="Local", external_ips=(a.EXTERNAL_IP,))
    ending = replace(READY["web-0"], ready=False, terminating=True)
    found = entry(local, replace(SLICE, endpoints=(ending, READY["web-1"])))
    assert texts(found.cluster_endpoints) == [f"{PLAN.pods['web-1']}:8080"]
    assert texts(found.local_endpoints) == [f"{PLAN.pods['web-0']}:8080"]


def test_local_endpoints_elsewhere_are_endpoints_all_the_same() -> None:
    local = replace(SERVICE, internal_traffic_policy="Local")
    found = entry(local, SLICE, node="n3")
    assert found.local_endpoints == ()
    assert found.cluster_endpoints == ()
    assert found.has_endpoints is True


@pytest.mark.parametrize(
    "ignored",
    [
        replace(SERVICE, cluster_ips=("None",)),
        replace(SERVICE, cluster_ips=()),
        replace(SERVICE, cluster_ips=("fd00::1",)),
        replace(SERVICE, type="ExternalName"),
        replace(SERVICE, meta=replace(META, labels={SERVICE_PROXY_NAME_LABEL: "other"})),
    ],
    ids=["headless", "no address yet", "IPv6", "external name", "another proxy's"],
)
def test_services_that_are_not_proxied(ignored: Service) -> None:
    assert table_of(snapshot_with((ignored, SLICE))).ports == ()


def test_a_load_balancers_address_counts_in_mode_vip_only() -> None:
    ingress = (
        LoadBalancerIngress(a.LOAD_BALANCER_IP),
        LoadBalancerIngress(a.EXTERNAL_IP, ip_mode="Proxy"),
        LoadBalancerIngress(hostname="lb.example"),
    )
    found = entry(replace(SERVICE, load_balancer_ingress=ingress), SLICE)
    assert found.load_balancer_ips == (a.LOAD_BALANCER_IP,)


def test_an_address_stands_in_the_family_that_it_is_of() -> None:
    dual = replace(
        SERVICE,
        cluster_ips=(a.WEB, PLAN6.addresses["web"].upper()),
        external_ips=(a.EXTERNAL_IP, PLAN6.addresses["outward-ip"]),
        load_balancer_source_ranges=(PLAN.far_cidr, PLAN6.far_cidr),
    )
    ready = Endpoint((PLAN6.pods["web-0"].upper(),), node_name="n1")
    slice6 = EndpointSlice(replace(LABELLED, name="web-6"), (ready,), SLICE.ports, "IPv6")
    snapshot = snapshot_with((dual, SLICE, slice6))
    (four,) = table_of(snapshot).ports
    (six,) = forwarding_table(snapshot, replace(CONFIG, family=6), "n1").ports
    assert (four.cluster_ip, four.external_ips) == (a.WEB, (a.EXTERNAL_IP,))
    assert (six.cluster_ip, six.external_ips) == (
        PLAN6.addresses["web"],
        (PLAN6.addresses["outward-ip"],),
    )
    assert four.load_balancer_source_ranges == (PLAN.far_cidr,)
    assert six.load_balancer_source_ranges == (PLAN6.far_cidr,)
    assert len(four.cluster_endpoints) == 2
    assert texts(six.cluster_endpoints) == [f"[{PLAN6.pods['web-0']}]:8080"]


def test_a_service_without_an_address_of_a_family_is_not_proxied_there() -> None:
    table = forwarding_table(snapshot_with((SERVICE, SLICE)), replace(CONFIG, family=6), "n1")
    assert table.ports == ()


NODE_IP = PLAN.nodes["n1"]


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ((), ((), False)),
        (("192.0.2.77/24",), (("192.0.2.0/24",), True)),
        ((f"{NODE_IP}/32",), ((f"{NODE_IP}/32",), True)),
        ((PLAN.far_cidr,), ((PLAN.far_cidr,), False)),
        ((PLAN.far_cidr, "0.0.0.0/0"), ((), False)),
    ],
    ids=["none", "host bits", "the node's own", "somebody else's", "everybody"],
)
def test_source_ranges(ranges: tuple[str, ...], expected: tuple[tuple[str, ...], bool]) -> None:
    found = entry(replace(SERVICE, load_balancer_source_ranges=ranges), SLICE)
    assert (found.load_balancer_source_ranges, found.node_in_source_ranges) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"type": "LoadBalancer", "external_traffic_policy": "Local"}, 31000),
        ({"type": "LoadBalancer"}, 0),
        ({"type": "NodePort", "external_traffic_policy": "Local"}, 0),
    ],
)
def test_only_a_load_balancer_with_policy_local_is_probed(
    changes: dict[str, str], expected: int
) -> None:
    service = replace(SERVICE, health_check_node_port=31000, **changes)  # type: ignore[arg-type]
    assert entry(service, SLICE).health_check_node_port == expected


# Topology hints. n1 is in zone a, n2 and n3 are in zone b.


def hinted(pod: str, zones: str = "", nodes: str = "") -> Endpoint:
    return replace(READY[pod], for_zones=tuple(zones.split()), for_nodes=tuple(nodes.split()))


ENDING = {"ready": False, "terminating": True}
"""Fields of an endpoint that is on its way out."""
A, B = hinted("web-0", "a"), hinted("web-1", "b")
N1, N2 = hinted("web-0", "a", "n1"), hinted("web-1", "b", "n2")


@pytest.mark.parametrize(
    ("endpoints", "node", "expected"),
    [
        pytest.param((A, B), "n1", ["web-0"], id="the node's zone"),
        pytest.param((A, B), "n3", ["web-1"], id="a zone that another node has the pod of"),
        pytest.param((N1, N2), "n2", ["web-1"], id="the node itself"),
        pytest.param((N1, N2), "n3", ["web-1"], id="no hint names the node: its zone"),
        pytest.param((N1, B), "n1", ["web-0"], id="not all have a node hint: zones"),
        pytest.param((A, READY["web-1"]), "n1", ["web-0", "web-1"], id="one has no hint: all"),
        pytest.param((A, hinted("web-1", "c")), "n2", ["web-0", "web-1"], id="no hint fits: all"),
        pytest.param((A, B), "nowhere", ["web-0", "web-1"], id="a node without a zone: all"),
        pytest.param(
            (A, replace(READY["web-1"], ready=False, serving=False)),
            "n1",
            ["web-0"],
            id="only ready ones need a hint",
        ),
        pytest.param(
            (replace(A, **ENDING), replace(B, **ENDING)),
            "n1",
            ["web-0", "web-1"],
            id="terminating ones are taken wherever they are",
        ),
    ],
)
def test_hints(endpoints: tuple[Endpoint, ...], node: str, expected: list[str]) -> None:
    found = entry(SERVICE, replace(SLICE, endpoints=endpoints), node=node)
    assert texts(found.cluster_endpoints) == [f"{PLAN.pods[pod]}:8080" for pod in expected]
    assert found.has_endpoints


def test_hints_do_not_count_for_policy_local() -> None:
    local = replace(SERVICE, internal_traffic_policy="Local")
    found = entry(local, replace(SLICE, endpoints=(hinted("web-0", "b"), B)), node="n1")
    assert texts(found.local_endpoints) == [f"{PLAN.pods['web-0']}:8080"]


def test_a_node_that_moves_to_another_zone_gets_other_endpoints() -> None:
    store = Store(lambda: 0.0)
    for item in (*nodes(PLAN), SERVICE, replace(SLICE, endpoints=(A, B))):
        put(store, item)
    before = forwarding_table(store.snapshot(), CONFIG, "n1")
    meta = replace(PLAN_NODE.meta, labels={ZONE_LABEL: "b"})
    put(store, replace(PLAN_NODE, meta=meta))
    after = forwarding_table(store.snapshot(), CONFIG, "n1", before)
    assert texts(after.ports[0].cluster_endpoints) == [f"{PLAN.pods['web-1']}:8080"]
    assert after == table_of(store.snapshot())


def test_the_table_knows_its_node_and_where_it_came_from() -> None:
    snapshot = snapshot_with((SERVICE, SLICE))
    table = table_of(snapshot, "n2")
    assert table.node_ips == (PLAN.nodes["n2"],)
    assert table.resource_version == snapshot.resource_version
    assert table_of(snapshot, "nowhere").node_ips == ()


# Reuse

SERVICES = ("a", "b", "c")
PODS = ("web-0", "web-1", "web-2", "web-3")


@st.composite
def steps(draw: st.DrawFn) -> list[tuple[str, str, tuple[str, ...], int]]:
    """A history: (what to do, service, ready pods, node port)."""
    step = st.tuples(
        st.sampled_from(("service", "slice", "slice-b", "delete", "delete slice", "node")),
        st.sampled_from(SERVICES),
        st.lists(st.sampled_from(PODS), unique=True, max_size=4).map(tuple),
        st.sampled_from((0, 30080, 30081)),
    )
    return draw(st.lists(step, min_size=1, max_size=8))


def written(store: Store, step: tuple[str, str, tuple[str, ...], int]) -> None:
    """Applies one step of a history, as far as it is possible."""
    what, name, pods, node_port = step
    if what == "service":
        port = ServicePort(80, "http", node_port=node_port)
        policy = "Local" if node_port == 30081 else "Cluster"
        ip = a.crowd_ip(SERVICES.index(name))
        put(
            store,
            Service(
                ObjectMeta(name, "x"), (port,), cluster_ips=(ip,), internal_traffic_policy=policy
            ),
        )
    elif what.startswith("slice"):
        meta = ObjectMeta(f"{name}-{what}", "x", labels={SERVICE_NAME_LABEL: name})
        put(store, replace(SLICE, meta=meta, endpoints=tuple(READY[pod] for pod in pods)))
    elif what == "node":
        put(store, replace(PLAN_NODE, internal_ips=(PLAN.nodes["n2"],)))
    else:
        kind, target = ("Service", name) if what == "delete" else ("EndpointSlice", f"{name}-slice")
        if ("x", target) in store.snapshot().tables.get(kind, {}):
            store.apply([Delete(kind, "x", target)])


def put(store: Store, item: Object) -> None:
    key = (item.meta.namespace, item.meta.name)
    known = key in store.snapshot().tables.get(item.kind, {})
    write: Write = Update(item) if known else Create(item)
    store.apply([write])


PLAN_NODE = nodes(PLAN)[0]


@given(steps())
def test_a_table_derived_from_any_other_equals_the_one_from_scratch(
    history: list[tuple[str, str, tuple[str, ...], int]],
) -> None:
    backend = IptablesBackend("nft")
    store = Store(lambda: 0.0)
    table = forwarding_table(store.snapshot(), CONFIG, "n1")
    rules = backend.plan(table)
    for step in history:
        written(store, step)
        table = forwarding_table(store.snapshot(), CONFIG, "n1", table)
        rules = backend.plan(table, rules)
        fresh = table_of(store.snapshot())
        assert table == fresh
        in_order = sorted(table.by_service)
        assert table.ports == tuple(one for key in in_order for one in table.by_service[key])
        assert rules == backend.plan(fresh)
        assert list(rules.tables["nat"]) == list(backend.plan(fresh).tables["nat"])


def test_what_did_not_change_is_the_same_object() -> None:
    store = Store(lambda: 0.0)
    for number, name in enumerate(SERVICES):
        put(store, Service(ObjectMeta(name, "x"), SERVICE.ports, cluster_ips=(a.crowd_ip(number),)))
        written(store, ("slice", name, ("web-0",), 0))
    before = forwarding_table(store.snapshot(), CONFIG, "n1")
    written(store, ("slice", "b", ("web-1",), 0))
    after = forwarding_table(store.snapshot(), CONFIG, "n1", before)
    same = [old is new for old, new in zip(before.ports, after.ports, strict=True)]
    assert same == [True, False, True]


def test_a_table_of_another_node_is_no_help_and_no_harm() -> None:
    snapshot = snapshot_with((SERVICE, SLICE))
    assert forwarding_table(snapshot, CONFIG, "n2", table_of(snapshot)) == table_of(snapshot, "n2")
