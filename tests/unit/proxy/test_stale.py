"""Which UDP flows are forgotten after a change of endpoints."""

from __future__ import annotations

import pytest

from testbed.proxy.stale import Flow, deletion, needs_look, parse_flows, stale_flows
from tests import addresses as a
from tests.addresses import PLAN
from tests.flows import POD_PORT, cluster
from tests.unit.proxy.states import snapshot_of, snapshot_with, table_of

BASE = table_of(snapshot_of("base"))


def table_with(*kept: str) -> object:
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


@pytest.mark.parametrize(
    ("flow", "now", "expected"),
    [
        pytest.param(to("web-0"), BASE, False, id="to a serving endpoint: kept"),
        pytest.param(to("web-2"), BASE, True, id="to a pod that is no endpoint: forgotten"),
        pytest.param(UNTRANSLATED, BASE, True, id="from before the first endpoint: forgotten"),
        pytest.param(to("web-0"), EMPTIED, True, id="the last endpoint is gone: forgotten"),
        pytest.param(to("web-0"), DELETED, True, id="the service is deleted: forgotten"),
        pytest.param(UNTRANSLATED, DELETED, False, id="nobody's address: kept"),
        pytest.param(to("web-0", dport=54), BASE, False, id="another port: kept"),
        pytest.param(
            to("web-2", PLAN.nodes["n1"], 30053),
            BASE,
            True,
            id="by node port, no endpoint: forgotten",
        ),
        pytest.param(
            to("web-1", PLAN.nodes["n1"], 30053), BASE, False, id="by node port, serving: kept"
        ),
        pytest.param(
            to("web-1", PLAN.nodes["n1"], 30053), DELETED, True, id="node port deleted: forgotten"
        ),
        pytest.param(
            Flow(PLAN.hosts["client"], 30053, PLAN.hosts["client"], 30053),
            BASE,
            False,
            id="another machine's port of the same number: kept",
        ),
        pytest.param(
            Flow(PLAN.nodes["n1"], 30053, PLAN.nodes["n1"], 30053),
            BASE,
            True,
            id="the node's own port before there was a service: forgotten",
        ),
    ],
)
def test_a_flow(flow: Flow, now: object, expected: bool) -> None:
    assert (stale_flows([flow], BASE, now) == [flow]) is expected  # type: ignore[arg-type]


def test_the_table_is_looked_through_only_after_a_change_of_udp() -> None:
    assert needs_look(None, BASE)
    assert needs_look(BASE, EMPTIED)
    assert not needs_look(BASE, table_of(snapshot_of("one withdrawn")))
    assert not needs_look(BASE, BASE)


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
