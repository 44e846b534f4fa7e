"""Pictures, told as Mermaid's statements: what is drawn of a topology, and with which weights."""

from dataclasses import replace

import pytest

from testbed.model.loader import load_text
from testbed.model.objects.pods import Pod
from testbed.picture.mermaid import mermaid
from testbed.picture.scene import Scene, scene_of
from testbed.picture.shapes import Picture
from testbed.picture.views import VIEWS
from testbed.store import Snapshot

THREE = """
name: t
nodes: {n1: {}, n2: {zone: b}, n3: {}}
dns: {replicas: 0}
workloads: {web: {replicas: 3, port: 8080}}
services: {web: {port: 80, targetPort: 8080, SERVICE}}
proxy: {PROXY}
"""


def scene(text: str) -> Scene:
    return scene_of(load_text(text))


def three(service: str = "", proxy: str = "mode: iptables") -> Scene:
    text = THREE.replace(", SERVICE", f", {service}" if service else "")
    return scene(text.replace("PROXY", proxy))


def drawn(scene: Scene, view: str) -> str:
    return mermaid(VIEWS[view](scene))


def labels(picture: Picture) -> list[tuple[str, ...]]:
    return [line.label for line in picture.lines]


WEIGHTS = [
    ("iptables: each a third", "", "mode: iptables", [("33.3 %",)] * 3),
    ("nftables: each a third", "", "mode: nftables", [("33.3 %",)] * 3),
    ("ipvs in turn: each a third", "", "mode: ipvs", [("33.3 %",)] * 3),
    (
        "ipvs by connections: nobody knows in advance, weights are known",
        "",
        "mode: ipvs, ipvs: {scheduler: lc}",
        [("weight 1",)] * 3,
    ),
    ("userspace in turn", "", "mode: userspace", [("33.3 %",)] * 3),
    (
        "policy Local inside: each node has its own",
        "internalTrafficPolicy: Local",
        "mode: iptables",
        [("n1: 100 %",), ("n2: 100 %",), ("n3: 100 %",)],
    ),
    (
        "policy Local from outside only",
        "type: NodePort, externalTrafficPolicy: Local",
        "mode: iptables",
        [("33.3 %", f"from outside n{number}: 100 %") for number in (1, 2, 3)],
    ),
]


@pytest.mark.parametrize(("service", "proxy", "expected"), [row[1:] for row in WEIGHTS])
def test_a_line_says_what_an_endpoint_gets(
    service: str, proxy: str, expected: list[tuple[str, ...]]
) -> None:
    assert sorted(labels(VIEWS["services"](three(service, proxy)))) == sorted(expected)


def test_what_was_picked_stands_beside_what_was_due() -> None:
    plain = three()
    endpoints = [text for entry in plain.tables[0].ports for text, *_ in entry.cluster_endpoints]
    picked = {"default/web": dict(zip(endpoints, (6, 3, 1), strict=True))}
    counted = Scene(plain.name, plain.topology, plain.snapshot, picked=picked)
    found = sorted(labels(VIEWS["services"](counted)))
    assert found == [
        ("33.3 %", "picked 1 (10 %)"),
        ("33.3 %", "picked 3 (30 %)"),
        ("33.3 %", "picked 6 (60 %)"),
    ]


def test_one_port_of_two_protocols_is_picked_once_each() -> None:
    plain = scene(
        "name: t\nnodes: {n1: {}}\nworkloads: {web: {}}\ndns: {replicas: 0}\nservices:\n"
        "  web: {ports: [{name: a, port: 53, protocol: UDP}, {name: b, port: 53}]}\n"
    )
    ((endpoint, *_),) = plain.tables[0].ports[0].cluster_endpoints
    picked = {"default/web:a": {endpoint: 3}, "default/web:b": {endpoint: 1}}
    picture = VIEWS["services"](Scene(plain.name, plain.topology, plain.snapshot, picked=picked))
    assert labels(picture) == [("100 %", "picked 4 (100 %)")]
    (table,) = picture.tables
    assert sorted((row[2], row[-1]) for row in table.rows) == [("TCP", "1"), ("UDP", "3")]


RULES = [
    ("mode: iptables", "probability in its rule", ["1/3", "1/2", "1"]),
    ("mode: ipvs", "weight", ["1", "1", "1"]),
]


@pytest.mark.parametrize(("proxy", "column", "cells"), RULES, ids=["iptables", "ipvs"])
def test_the_table_has_what_the_rules_say(proxy: str, column: str, cells: list[str]) -> None:
    (table,) = VIEWS["services"](three(proxy=proxy)).tables
    place = table.columns.index(column)
    assert sorted((row[place] for row in table.rows), reverse=True) == sorted(cells, reverse=True)
    assert {row[table.columns.index("from n2")] for row in table.rows} == {"33.3 %"}


CARDS = [
    ("type: LoadBalancer", "load balancer pending"),
    ("externalIPs: [198.51.100.7]", "external 198.51.100.7"),
    ("sessionAffinity: ClientIP", "affinity ClientIP, 10800 s"),
    ("internalTrafficPolicy: Local", "internal traffic Local"),
    ("type: NodePort, externalTrafficPolicy: Local", "external traffic Local"),
    ("trafficDistribution: PreferClose", "distribution PreferClose"),
]


@pytest.mark.parametrize(("service", "line"), CARDS)
def test_a_service_says_what_decides_who_gets_a_connection(service: str, line: str) -> None:
    assert line in VIEWS["services"](three(service)).cards[0].lines
    assert line not in VIEWS["services"](three()).cards[0].lines


def test_many_endpoints_are_drawn_by_node_in_the_order_of_the_nodes() -> None:
    nodes = ", ".join(f"n{number}: {{}}" for number in range(1, 11))
    crowd = scene(
        f"name: t\nnodes: {{{nodes}}}\nworkloads: {{web: {{replicas: 1000}}}}\n"
        "services: {web: {port: 80}}\ndns: {replicas: 0}\n"
    )
    picture = VIEWS["services"](crowd)
    endpoints = [card for card in picture.cards if card.kind == "endpoint"]
    assert [card.lines[0] for card in endpoints] == [f"on n{number}" for number in range(1, 11)]
    assert {card.title for card in endpoints} == {"100 pods"}
    assert labels(picture) == [("10 %",)] * 10
    (cells,) = {card.cells for card in VIEWS["pods"](crowd).cards[1:2]}
    assert [cell.lines for cell in cells] == [("web × 100", "all ready")]


def test_a_hundred_nodes_are_one_card_and_a_few() -> None:
    nodes = ", ".join(f"n{number}: {{}}" for number in range(1, 101))
    crowd = scene(f"name: t\nnodes: {{{nodes}}}\nworkloads: {{web: {{replicas: 200}}}}\n")
    assert len(VIEWS["physical"](crowd).cards) == 2
    assert VIEWS["pods"](crowd).cards[-1].title == "76 more nodes"


def test_links_say_what_they_cost() -> None:
    text = drawn(
        scene(
            "name: t\nnodes: {n1: {}, n2: {}}\nhosts: {client: {}}\nlinks:\n"
            "- {endpoints: [n1, tor], delay: 1ms, rate: 1gbit, loss: 0.1%}\n"
            "- {endpoints: [tor, n2]}\n- {endpoints: [client, tor], rate: 10mbit}\n"
        ),
        "physical",
    )
    assert '-->|"' not in text, "links have no direction"
    assert '|"1 ms<br/>0.1% lost<br/>1 Gbit/s"|' in text
    assert '|"10 Mbit/s"|' in text
    assert text.count('["tor<br/>172.18.0.0/24<br/>control plane"]') == 1


def test_services_without_addresses_say_so() -> None:
    text = drawn(
        scene(
            "name: t\nnodes: {n1: {}}\nworkloads: {web: {}}\nservices:\n"
            "  web: {port: 80, clusterIP: None}\n  far: {externalName: example.org}\n"
        ),
        "services",
    )
    assert "web<br/>ClusterIP, headless" in text
    assert "far<br/>ExternalName" in text
    assert "-.->" in text, "headless: DNS leads there, no rule does"


def test_a_pod_that_is_not_ready_is_told_by_a_word() -> None:
    plain = three()
    pods = plain.snapshot.list(Pod)
    (pod,) = [pod for pod in pods if pod.meta.name == "web-1"]
    unready = replace(pod, status=replace(pod.status, ready=False))
    pods_then = plain.snapshot.tables["Pod"].mutate()
    pods_then[pod.meta.namespace, pod.meta.name] = unready
    tables = {**plain.snapshot.tables, "Pod": pods_then.finish()}
    text = drawn(Scene("t", plain.topology, Snapshot(1, tables)), "pods")
    assert "web-1 (not ready)" in text
    assert "web-0 (not ready)" not in text


def test_routers_stand_above_their_racks_and_links_between_them_are_networks() -> None:
    found = VIEWS["physical"](
        scene(
            "name: t\nnodes: {n1: {}}\nhosts: {out: {}}\nrouters: {tor: {}, spine: {asn: 65100}}\nlinks:\n"
            "- {endpoints: [n1, rack], delay: 1ms, back: {delay: 2ms}}\n- {endpoints: [rack, tor]}\n"
            "- {endpoints: [tor, spine], mtu: 9000}\n- {endpoints: [out, spine]}\n"
        )
    )
    assert [(line.tail, line.head) for line in found.lines] == [
        ("switch-rack", "node-n1"),
        ("router-tor", "switch-rack"),
        ("router-spine", "router-tor"),
        ("router-spine", "host-out"),
    ]
    assert found.lines[0].label == ("n1 to rack: 1 ms", "rack to n1: 2 ms")
    assert found.lines[2].label == ("MTU 9000", "172.18.1.0/24")
    cards = {card.title: card.lines for card in found.cards}
    assert cards["rack"] == ("172.18.0.0/24", "control plane")
    assert cards["spine"] == ("router, AS 65100",)
