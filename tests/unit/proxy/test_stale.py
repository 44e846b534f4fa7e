"""Which UDP flows are forgotten after a change of endpoints."""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed.model.objects.services import Service
from testbed.proxy.stale import (
    Flow,
    deletion,
    listing,
    needs_look,
    parse_flows,
    stale_flows,
)
from testbed.proxy.table import ForwardingTable
from tests import addresses as a
from tests.addresses import PLAN
from tests.flows import POD_PORT, cluster
from tests.unit.proxy.states import snapshot_of, snapshot_with, table_of

BASE = table_of(snapshot_of("base"))


def table_with(*kept: str) -> ForwardingTable:
    """The table with only the named services' slices left in the base state."""
    objects = [item for item in cluster(PLAN) if item.meta.name.removesuffix("-a") in kept]
    return table_of(snapshot_with(objects))


DELETED = table_with()
EMPTIED = table_of(
    snapshot_with([item for item in cluster(PLAN) if item.meta.name != "datagram-a"])
)


def to(pod: str, dst: str = a.DATAGRAM, dport: int = 53) -> Flow:
    return Flow(dst, dport, PLAN.pods[pod], POD_PORT)


UNTRANSLATED = Flow(a.DATAGRAM, 53, a.DATAGRAM, 53)


def documented(table: ForwardingTable) -> ForwardingTable:
    return replace(table, config=replace(table.config, documented=True))


@pytest.mark.parametrize(
    ("flow", "now", "by_kube_proxy", "by_the_documentation"),
    [
        pytest.param(to("web-0"), BASE, False, False, id="to a serving endpoint"),
        pytest.param(to("web-2"), BASE, True, True, id="to a pod that is no endpoint"),
        pytest.param(UNTRANSLATED, BASE, True, True, id="from before the first endpoint"),
        pytest.param(to("web-0"), EMPTIED, False, True, id="the last endpoint is gone, #139628"),
        pytest.param(to("web-0"), DELETED, False, True, id="the service is deleted, #141371"),
        pytest.param(
            Flow(a.DATAGRAM, 53, PLAN.nodes["n1"], 19703),
            BASE,
            False,
            False,
            id="to the proxy itself",
        ),
        pytest.param(UNTRANSLATED, DELETED, False, False, id="nobody's address"),
        pytest.param(to("web-0", dport=54), BASE, False, False, id="another port"),
        pytest.param(
            to("web-2", PLAN.nodes["n1"], 30053), BASE, True, True, id="by node port, no endpoint"
        ),
        pytest.param(
            to("web-1", PLAN.nodes["n1"], 30053), BASE, False, False, id="by node port, serving"
        ),
        pytest.param(
            to("web-1", PLAN.nodes["n1"], 30053), DELETED, False, True, id="node port deleted"
        ),
        pytest.param(
            Flow(PLAN.hosts["client"], 30053, PLAN.hosts["client"], 30053),
            BASE,
            False,
            False,
            id="another machine's port of the same number",
        ),
        pytest.param(
            Flow(PLAN.nodes["n1"], 30053, PLAN.nodes["n1"], 30053),
            BASE,
            True,
            True,
            id="the node's own port before there was a service",
        ),
    ],
)
def test_a_flow_is_forgotten(
    flow: Flow, now: ForwardingTable, by_kube_proxy: bool, by_the_documentation: bool
) -> None:
    assert stale_flows([flow], BASE, now) == [flow] * by_kube_proxy
    assert stale_flows([flow], BASE, documented(now)) == [flow] * by_the_documentation


def test_the_entries_are_looked_through_only_after_a_change_of_udp_endpoints() -> None:
    assert needs_look(None, BASE)
    assert needs_look(BASE, EMPTIED)
    assert not needs_look(BASE, table_of(snapshot_of("one withdrawn")))
    assert not needs_look(BASE, BASE)


def test_the_documentation_wants_a_look_after_any_change_of_a_udp_service() -> None:
    objects = [
        replace(item, external_ips=(a.EXTERNAL_IP,))
        if isinstance(item, Service) and item.meta.name == "datagram"
        else item
        for item in cluster(PLAN)
    ]
    moved = table_of(snapshot_with(objects))
    assert not needs_look(BASE, moved)
    assert needs_look(documented(BASE), documented(moved))


def test_a_proxy_that_is_told_to_keep_stale_entries_never_looks() -> None:
    config = replace(BASE.config, keep_stale_udp=True)
    assert not needs_look(None, replace(BASE, config=config))
    assert not needs_look(BASE, replace(EMPTIED, config=config))


LISTED = (
    "udp      17 29 src=10.244.3.50 dst=10.96.200.3 sport=40001 dport=53 [UNREPLIED]"
    " src=10.244.1.10 dst=10.244.3.50 sport=8080 dport=40001 mark=0 use=1\n"
    "udp      17 19 src=10.244.3.50 dst=10.96.200.3 sport=40002 dport=53"
    " src=10.244.1.10 dst=10.244.3.50 sport=8080 dport=40002 [ASSURED] mark=0 use=1\n"
    "tcp      6 19 TIME_WAIT src=10.244.3.50 dst=10.96.200.3 sport=40002 dport=53"
    " src=10.244.1.10 dst=10.244.3.50 sport=8080 dport=40002 [ASSURED] mark=0 use=1\n"
)


def test_entries_that_differ_only_in_their_client_are_one_flow() -> None:
    assert parse_flows(LISTED) == {to("web-0")}
    assert parse_flows("") == set()


def test_a_deletion_names_the_service_and_who_answered() -> None:
    assert str(deletion(to("web-0"))) == (
        "conntrack -D -p udp --orig-dst 10.96.200.3 --orig-port-dst 53"
        " --reply-src 10.244.1.10 --reply-port-src 8080"
    )


def test_entries_of_ipv6_are_listed_read_and_deleted_as_such() -> None:
    table = replace(BASE, config=replace(BASE.config, family=6))
    assert str(listing(table)) == "conntrack -L -f ipv6 -p udp"
    line = (
        "udp      17 29 src=fd00:10:244:3::50 dst=fd00:10:96::3 sport=40001 dport=53 [UNREPLIED]"
        " src=fd00:10:244:1::10 dst=fd00:10:244:3::50 sport=8080 dport=40001 mark=0 use=1\n"
    )
    (flow,) = parse_flows(line)
    assert str(deletion(flow)) == (
        "conntrack -D -f ipv6 -p udp --orig-dst fd00:10:96::3 --orig-port-dst 53"
        " --reply-src fd00:10:244:1::10 --reply-port-src 8080"
    )
