"""Whose connection it was: addresses that were dialled -> service ports, shares and rates."""

from __future__ import annotations

import pytest

from testbed.live.tally import Addresses, PortRow, Rates, counts, port_rows
from tests.unit.live.glances import TCP, TOPOLOGY, endpoints, glance, state

STATE = state()
ONE, OTHER = endpoints(STATE)
ICMP, UDP, SCTP = 1, 17, 132
NODE_IP = STATE["nodes"][0]["addresses"][0]


@pytest.mark.parametrize(
    ("protocol", "dialled", "endpoint", "port"),
    [
        (TCP, "10.96.0.9:80", ONE, "default/web"),
        (TCP, f"{NODE_IP}:30080", ONE, "default/web"),
        (TCP, "", ONE, "default/direct"),  # the first that has it
        (UDP, "10.96.0.9:80", ONE, None),
        (SCTP, "", ONE, None),
        (TCP, "10.96.0.9:81", ONE, None),
        (TCP, "", "203.0.113.1:80", None),
        (ICMP, "10.96.0.9:80", ONE, None),
    ],
)
def test_a_connection_belongs_to_the_service_port_that_was_dialled(
    protocol: int, dialled: str, endpoint: str, port: str | None
) -> None:
    assert Addresses(STATE).service_port(protocol, dialled, endpoint) == port


def test_external_and_load_balancer_addresses_are_the_services_too() -> None:
    inspected = state(
        TOPOLOGY.replace("type: NodePort", "type: NodePort, externalIPs: [198.51.100.7]")
    )
    (service,) = [one for one in inspected["services"] if one["name"] == "web"]
    service["loadBalancerIPs"] = ["203.0.113.7"]
    found = Addresses(inspected)
    for ip in ("198.51.100.7", "203.0.113.7"):
        assert found.service_port(TCP, f"{ip}:80", ONE) == "default/web"


def test_nodes_are_added_up() -> None:
    picks = [("n1", TCP, "10.96.0.9:80", ONE, 3), ("n2", TCP, "10.96.0.9:80", ONE, 4)]
    strangers = [("n1", TCP, "203.0.113.1:80", ONE, 9)]
    assert counts([*picks, *strangers], Addresses(STATE)) == {"default/web": {ONE: 7}}


def web(*picks: tuple[str, int]) -> PortRow:
    rows = [("n1", TCP, "10.96.0.9:80", endpoint, count) for endpoint, count in picks]
    (found,) = [port for port in glance(STATE, rows).ports if port.name == "default/web"]
    return found


def test_a_port_tells_each_endpoints_share_and_rate() -> None:
    port = web((ONE, 30), (OTHER, 10))
    assert (port.address, port.node_port, port.connections) == ("10.96.0.9:80/TCP", 30080, 40)
    assert port.rate_per_s == pytest.approx(40)
    assert [(row.endpoint, row.connections, row.share) for row in port.endpoints] == [
        (ONE, 30, 0.75),
        (OTHER, 10, 0.25),
    ]
    assert {row.pod for row in port.endpoints} == {"web-0", "web-1"}


def test_before_anybody_is_picked_there_is_no_share() -> None:
    assert [(row.connections, row.share) for row in web().endpoints] == [(0, 0.0), (0, 0.0)]


def test_an_endpoint_that_is_gone_stays_when_it_was_picked() -> None:
    row = web(("10.244.9.9:8080", 5)).endpoints[-1]
    assert (row.endpoint, row.pod, row.ready, row.share) == ("10.244.9.9:8080", "", False, 1.0)


def test_who_has_no_cluster_address_says_so() -> None:
    rows = {row.name: row for row in port_rows(STATE, {}, _idle())}
    assert rows["default/direct"].address == "headless"
    assert rows["default/off"].endpoints == ()


def _idle() -> Rates:
    rates = Rates()
    rates.add(0, {})
    return rates


def test_a_rate_is_over_the_last_seconds() -> None:
    rates = Rates()
    for second in range(20):
        rates.add(second * 10**9, {"p": {"e": 10 * second}})
    assert rates.per_s("p", "e") == pytest.approx(10)
    for second in range(20, 30):
        rates.add(second * 10**9, {"p": {"e": 190}})
    assert rates.per_s("p", "e") == 0.0
    assert rates.per_s("p", "nobody") == 0.0


def test_one_look_tells_no_rate() -> None:
    assert _idle().per_s("p", "e") == 0.0
