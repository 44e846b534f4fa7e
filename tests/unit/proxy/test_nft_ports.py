"""What each kind of service port becomes: the chains and elements that kube-proxy 1.36 writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from testbed.proxy.endpoints import ServiceEndpoint
from testbed.proxy.nftables_frame import frame_chains, frame_of, frame_sets
from testbed.proxy.nftables_ports import Surroundings, interval_set, port_objects
from testbed.proxy.table import ServicePortEntry
from tests.addresses import (
    CLUSTER_CIDR,
    CLUSTER_CIDR6,
    EXTERNAL_IP,
    LOAD_BALANCER_IP,
    PLAN,
    PLAN6,
    SERVICE_CIDR,
    WEB,
    Plan,
)
from tests.flows import PROFILES
from tests.unit.proxy.nft_states import table_for

BASE = "DK7ABAZC-ns1/web/tcp/http"
AROUND = Surroundings(4, CLUSTER_CIDR)


def endpoints(plan: Plan, *pods: str) -> tuple[ServiceEndpoint, ...]:
    found = []
    for pod in pods:
        ip = plan.pods[pod]
        text = f"[{ip}]:8080" if plan.family == 6 else f"{ip}:8080"
        found.append(ServiceEndpoint(text, ip, 8080, plan.pod_nodes[pod]))
    return tuple(found)


TWO = endpoints(PLAN, "web-0", "web-1")
PLAIN = ServicePortEntry(
    namespace="ns1",
    service="web",
    port_name="http",
    protocol="tcp",
    cluster_ip=WEB,
    port=80,
    node_port=0,
    external_ips=(),
    load_balancer_ips=(),
    load_balancer_source_ranges=(),
    node_in_source_ranges=False,
    affinity_s=0,
    internal_local=False,
    external_local=False,
    health_check_node_port=0,
    cluster_endpoints=TWO,
    local_endpoints=(),
    ready_endpoints=TWO,
    serving_endpoints=TWO,
    has_endpoints=True,
    known_endpoints=2,
)
PICK_TWO = (
    "meta l4proto tcp dnat ip addr . port to numgen random mod 2 map"
    " { 0 : 10.244.1.10 . 8080, 1 : 10.244.2.10 . 8080 }"
)
PICK_ONE = (
    "meta l4proto tcp dnat ip addr . port to numgen random mod 1 map { 0 : 10.244.1.10 . 8080 }"
)
TO_SERVICE = f": goto service-{BASE}"
TO_EXTERNAL = f": goto external-{BASE}"
REFUSED = 'comment "ns1/web:http" : goto reject-chain'
SILENT = 'comment "ns1/web:http" : drop'
AT_WEB = f"{WEB} . tcp . 80"
AT_EXTERNAL = f"{EXTERNAL_IP} . tcp . 80"
AT_BALANCER = f"{LOAD_BALANCER_IP} . tcp . 80"
ACTIVE = ("set cluster-ips", WEB, "")
SHORT_CUTS = (
    f'ip saddr 10.244.0.0/16 goto service-{BASE} comment "short-circuit pod traffic"',
    'fib saddr type local mark set mark or 0x4000 comment "masquerade local traffic"',
    f'fib saddr type local goto service-{BASE} comment "short-circuit local traffic"',
)
NOBODY = replace(PLAIN, cluster_endpoints=(), serving_endpoints=(), has_endpoints=False)

KINDS = {
    "a cluster IP": (
        PLAIN,
        {f"chain service-{BASE}": (PICK_TWO,)},
        {ACTIVE, ("map service-ips", AT_WEB, TO_SERVICE)},
    ),
    "a node port": (
        replace(PLAIN, node_port=30080),
        {
            f"chain service-{BASE}": (PICK_TWO,),
            f"chain external-{BASE}": ("mark set mark or 0x4000", f"goto service-{BASE}"),
        },
        {
            ACTIVE,
            ("map service-ips", AT_WEB, TO_SERVICE),
            ("map service-nodeports", "tcp . 30080", TO_EXTERNAL),
        },
    ),
    "an external IP of policy Local with an endpoint here": (
        replace(PLAIN, external_ips=(EXTERNAL_IP,), external_local=True, local_endpoints=TWO[:1]),
        {
            f"chain service-{BASE}": (PICK_TWO,),
            f"chain local-{BASE}": (PICK_ONE,),
            f"chain external-{BASE}": (*SHORT_CUTS, f"goto local-{BASE}"),
        },
        {
            ACTIVE,
            ("map service-ips", AT_WEB, TO_SERVICE),
            ("map service-ips", AT_EXTERNAL, TO_EXTERNAL),
        },
    ),
    "a load balancer of policy Local without an endpoint here": (
        replace(PLAIN, load_balancer_ips=(LOAD_BALANCER_IP,), external_local=True, node_port=30080),
        {f"chain service-{BASE}": (PICK_TWO,), f"chain external-{BASE}": SHORT_CUTS},
        {
            ACTIVE,
            ("map service-ips", AT_WEB, TO_SERVICE),
            ("map service-ips", AT_BALANCER, TO_EXTERNAL),
            ("map no-endpoint-services", AT_BALANCER, SILENT),
            ("map service-nodeports", "tcp . 30080", TO_EXTERNAL),
            ("map no-endpoint-nodeports", "tcp . 30080", SILENT),
        },
    ),
    "internal policy Local without an endpoint here": (
        replace(PLAIN, internal_local=True, cluster_endpoints=()),
        {},
        {ACTIVE, ("map no-endpoint-services", AT_WEB, SILENT)},
    ),
    "nobody anywhere": (
        replace(NOBODY, node_port=30080, external_ips=(EXTERNAL_IP,)),
        {},
        {
            ACTIVE,
            ("map no-endpoint-services", AT_WEB, REFUSED),
            ("map no-endpoint-services", AT_EXTERNAL, REFUSED),
            ("map no-endpoint-nodeports", "tcp . 30080", REFUSED),
        },
    ),
    "source ranges that the node is in": (
        replace(
            PLAIN,
            load_balancer_ips=(LOAD_BALANCER_IP,),
            load_balancer_source_ranges=("192.0.2.0/25", "192.0.2.128/25"),
            node_in_source_ranges=True,
        ),
        {
            f"chain service-{BASE}": (PICK_TWO,),
            f"chain external-{BASE}": ("mark set mark or 0x4000", f"goto service-{BASE}"),
            f"chain firewall-{BASE}": (f"ip saddr != {{ 192.0.2.0/24, {LOAD_BALANCER_IP} }} drop",),
        },
        {
            ACTIVE,
            ("map service-ips", AT_WEB, TO_SERVICE),
            ("map service-ips", AT_BALANCER, TO_EXTERNAL),
            ("map firewall-ips", AT_BALANCER, f": goto firewall-{BASE}"),
        },
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_service_has_its_chains_and_elements(kind: str) -> None:
    entry, blocks, elements = KINDS[kind]
    found = port_objects(entry, AROUND)
    assert dict(found.blocks) == blocks
    assert {(where, key, claim[1]) for where, key, (claim,) in found.elements} == elements


def test_affinity_has_a_set_and_a_chain_for_each_endpoint() -> None:
    endpoint = "-ns1/web/tcp/http__10.244.1.10/8080"
    found = dict(port_objects(replace(PLAIN, affinity_s=600), AROUND).blocks)
    (remembered,) = [lines for name, lines in found.items() if name.endswith(endpoint)][:1]
    assert remembered == ("type ipv4_addr", "flags dynamic,timeout", "timeout 600s")
    (chain,) = [name for name in found if name.startswith("chain") and name.endswith(endpoint)]
    base = chain.removeprefix("chain endpoint-")
    assert found[chain] == (
        f"update @affinity-{base} {{ ip saddr }}",
        "meta l4proto tcp dnat to 10.244.1.10:8080",
    )
    rules = found[f"chain service-{BASE}"]
    assert rules[0] == f"ip saddr @affinity-{base} goto endpoint-{base}"
    assert rules[2].startswith(f"numgen random mod 2 vmap {{ 0 : goto endpoint-{base}, 1 : goto ")


def test_six_is_spelt_like_four() -> None:
    six = endpoints(PLAN6, "web-0")
    entry = replace(PLAIN, cluster_endpoints=six, affinity_s=60, node_port=30080)
    found = dict(port_objects(entry, Surroundings(6, CLUSTER_CIDR6)).blocks)
    (chain,) = [name for name in found if name.startswith("chain endpoint-")]
    base = chain.removeprefix("chain endpoint-")
    assert found[chain] == (
        f"update @affinity-{base} {{ ip6 saddr }}",
        f"meta l4proto tcp dnat to [{PLAN6.pods['web-0']}]:8080",
    )
    unsticky = dict(port_objects(replace(entry, affinity_s=0), Surroundings(6, "")).blocks)
    assert unsticky[f"chain service-{BASE}"] == (
        "meta l4proto tcp dnat ip6 addr . port to numgen random mod 1 map"
        f" {{ 0 : {PLAN6.pods['web-0']} . 8080 }}",
    )


@pytest.mark.parametrize(("node", "ip"), [("n1", "10.244.1.10"), ("n2", "10.244.2.10")])
def test_hairpins_are_those_of_the_nodes_own_endpoints(node: str, ip: str) -> None:
    found = port_objects(PLAIN, AROUND).elements_on(node)
    hairpins = [key for where, key, _ in found if where == "set hairpin-connections"]
    assert hairpins == [f"{ip} . {ip} . tcp . 8080"]


@pytest.mark.parametrize(
    ("networks", "spelt"),
    [
        (("203.0.113.0/25",), "{ 203.0.113.0/25 }"),
        (("192.0.2.128/25", "192.0.2.0/25"), "{ 192.0.2.0/24 }"),
        (("192.0.2.0/24", "192.0.2.7"), "{ 192.0.2.0/24 }"),
        (("198.51.100.9", "192.0.2.0/24"), "{ 192.0.2.0/24, 198.51.100.9 }"),
    ],
)
def test_networks_are_spelt_as_nft_lists_them(networks: tuple[str, ...], spelt: str) -> None:
    assert interval_set(networks) == spelt


NODE_PORTS: Mapping[str, tuple[str, tuple[str, ...], str]] = {
    "kube-proxy 1.36 answers on the primary address": (
        PROFILES[0],
        (),
        "ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports",
    ),
    "the documents promise every address": (
        PROFILES[1],
        (),
        "fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport"
        " vmap @service-nodeports",
    ),
    "every address, as asked for": (
        PROFILES[0],
        ("0.0.0.0/0",),
        "fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport"
        " vmap @service-nodeports",
    ),
    "the primary address, as asked for": (
        PROFILES[1],
        ("primary",),
        "ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports",
    ),
}


@pytest.mark.parametrize("case", NODE_PORTS)
def test_where_node_ports_answer(case: str) -> None:
    profile, wanted, rule = NODE_PORTS[case]
    table = table_for("base", profile=profile)
    frame = frame_of(replace(table, config=replace(table.config, node_port_addresses=wanted)))
    assert frame_chains(frame)["chain services"][-1] == rule
    assert ("set nodeport-ips" in frame_sets(frame)) == ("@nodeport-ips" in rule)


def test_what_is_of_no_service_is_told_or_dropped() -> None:
    check = frame_chains(frame_of(table_for("nothing")))["chain cluster-ips-check"]
    assert check == (
        'ip daddr @cluster-ips reject comment "Reject traffic to invalid ports of ClusterIPs"',
        f'ip daddr {{ {SERVICE_CIDR} }} drop comment "Drop traffic to unallocated ClusterIPs"',
    )
