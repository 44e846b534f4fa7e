"""What the edge matrix promises, and that it finds what is not so."""

from __future__ import annotations

import pytest

from testbed.edge.doors import ROWS, Row
from testbed.edge.matrix import Attempt, keeps, wrong
from testbed.edge.promises import Promise, Setting, promise

KUBE = Setting("iptables-nft", "nftables")
CLOUD = Setting("iptables-nft", "haproxy")
ROUTED = Setting("nftables", "bgp", routers=1)
USERSPACE = Setting("userspace", "nftables")
BLIND = Setting("userspace", "nftables", profile="kube-proxy-1.36")
BLIND_CLOUD = Setting("userspace", "haproxy", profile="kube-proxy-1.36")
IPVS = Setting("ipvs/rr", "l2")
ONE_LIST = Setting("ipvs/rr", "l2", profile="kube-proxy-1.36")

OUT_TO_N1 = Row("NodePort", "Local", "outside", "", "n1")
OUT_TO_N3 = Row("NodePort", "Local", "outside", "", "n3")
ADDRESS = Row("LoadBalancer", "Cluster", "outside")
ADDRESS_LOCAL = Row("LoadBalancer", "Local", "outside")
POD_LOCAL = Row("LoadBalancer", "Local", "pod", "n3")
NODE_LOCAL = Row("LoadBalancer", "Local", "node", "n3")
NODE_BESIDE = Row("LoadBalancer", "Local", "node", "n1")
INGRESS_LOCAL = Row("LoadBalancer", "Local", "outside", ingress=True)
HOST = Row("hostNetwork", "", "outside", "", "n1", ingress=True)
HOST_APART = Row("hostNetwork", "", "pod", "n3", "n3", ingress=True)


def test_no_two_rows_have_one_name() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS) == 60


@pytest.mark.parametrize(
    ("row", "setting", "expected"),
    [
        (Row("NodePort", "Cluster", "outside", "", "n3"), KUBE, Promise("all", "entry")),
        (OUT_TO_N1, KUBE, Promise("entry", "client")),
        (OUT_TO_N3, KUBE, Promise("none")),
        (Row("NodePort", "Local", "node", "n1", "n3"), KUBE, Promise("none")),
        (Row("NodePort", "Local", "node", "n3", "n3"), KUBE, Promise("all", "entry")),
        (Row("NodePort", "Local", "pod", "n3", "n3"), KUBE, Promise("all", "client")),
        (ADDRESS, KUBE, Promise("all", "entry")),
        (ADDRESS_LOCAL, KUBE, Promise("entry", "client")),
        (POD_LOCAL, KUBE, Promise("all", "client")),
        (NODE_LOCAL, KUBE, Promise("all", "entry")),
        (ADDRESS, CLOUD, Promise("all", "entry")),
        (ADDRESS_LOCAL, CLOUD, Promise("entry", "balancer")),
        (POD_LOCAL, CLOUD, Promise("entry", "balancer")),
        (ADDRESS_LOCAL, USERSPACE, Promise("entry", "entry")),
        (OUT_TO_N3, USERSPACE, Promise("none")),
        (OUT_TO_N3, BLIND, Promise("all", "entry")),
        (ADDRESS_LOCAL, BLIND, Promise("all", "entry")),
        (ADDRESS_LOCAL, BLIND_CLOUD, Promise("all", "entry")),
        (OUT_TO_N3, IPVS, Promise("none")),
        (OUT_TO_N3, ONE_LIST, Promise("all", "entry")),
        (NODE_BESIDE, IPVS, Promise("all", "entry")),
        (NODE_BESIDE, ONE_LIST, Promise("entry", "address")),
        (NODE_LOCAL, ONE_LIST, Promise("all", "entry")),
        (Row("NodePort", "Local", "pod", "n1", "n1"), ONE_LIST, Promise("entry", "client")),
        (INGRESS_LOCAL, KUBE, Promise("entry", "client")),
        (INGRESS_LOCAL, CLOUD, Promise("entry", "balancer")),
        (HOST, BLIND_CLOUD, Promise("entry", "client")),
        (HOST_APART, KUBE, Promise("none")),
    ],
    ids=lambda value: value.name if isinstance(value, Row) else "",
)
def test_promises(row: Row, setting: Setting, expected: Promise) -> None:
    assert promise(row, setting) == expected


@pytest.mark.parametrize(
    ("row", "setting", "attempt"),
    [
        (OUT_TO_N1, KUBE, Attempt("web-n1-0", "client", "n1", 1)),
        (OUT_TO_N3, KUBE, Attempt("", error="timeout")),
        (ADDRESS, KUBE, Attempt("web-n2-0", "n3", "n3", 2)),
        (ADDRESS, KUBE, Attempt("web-n2-0", "n2", "n2", 1)),
        (ADDRESS_LOCAL, KUBE, Attempt("web-n2-0", "client", "n2", 1)),
        (ADDRESS, CLOUD, Attempt("web-n2-0", "n3", "balancer", 0)),
        (ADDRESS_LOCAL, CLOUD, Attempt("web-n2-0", "balancer", "balancer", 0)),
        (ADDRESS, ROUTED, Attempt("web-n2-0", "n3", "router", 3)),
        (ADDRESS_LOCAL, USERSPACE, Attempt("web-n2-0", "n2", "n2", 0)),
        (POD_LOCAL, KUBE, Attempt("web-n2-0", "caller-n3-0")),
        (NODE_BESIDE, ONE_LIST, Attempt("web-n1-0", "address")),
        (INGRESS_LOCAL, KUBE, Attempt("ingress-n2-0", "client", "n2", 1, behind="web-n1-0")),
        (HOST, KUBE, Attempt("n1", "client", "n1", 0, behind="web-n2-0")),
        (HOST, ROUTED, Attempt("n1", "client", "router", 1, behind="web-n2-0")),
        (HOST_APART, KUBE, Attempt("", error="ConnectionRefusedError")),
    ],
)
def test_what_is_as_promised(row: Row, setting: Setting, attempt: Attempt) -> None:
    assert wrong(row, (attempt,), row.caller, setting) == ""


@pytest.mark.parametrize(
    ("row", "setting", "attempt", "said"),
    [
        (
            OUT_TO_N1,
            KUBE,
            Attempt("web-n2-0", "client", "n2", 1),
            "web-n2-0 answered, not those on n1",
        ),
        (OUT_TO_N1, KUBE, Attempt("web-n1-0", "n1", "n1", 1), "saw n1, not client"),
        (OUT_TO_N3, KUBE, Attempt("web-n1-0", "client"), "where nobody should"),
        (ADDRESS, KUBE, Attempt("", error="refused"), "no answer: refused"),
        (ADDRESS, KUBE, Attempt("web-n2-0", "client", "n2", 1), "saw client, not n1 or n2 or n3"),
        (ADDRESS, KUBE, Attempt("web-n2-0", "n3", "n2", 2), "came by n2, not n3"),
        (ADDRESS, KUBE, Attempt("web-n2-0", "n3", "n3", 1), "routed 1 times, not 2"),
        (ADDRESS, CLOUD, Attempt("web-n2-0", "n3", "n3", 2), "came by n3, not balancer"),
        (ADDRESS_LOCAL, KUBE, Attempt("web-n2-0", "client", "n1", 2), "came by n1, not n2"),
        (ADDRESS, ROUTED, Attempt("web-n2-0", "n3", "n3", 2), "came by n3, not router"),
        (ADDRESS, KUBE, Attempt("caller-n1-0", "n1", "n1", 1), "which is no endpoint"),
        (NODE_BESIDE, ONE_LIST, Attempt("web-n2-0", "address"), "not those on n1"),
        (INGRESS_LOCAL, KUBE, Attempt("web-n2-0", "client", "n2", 1), "which is no endpoint"),
        (INGRESS_LOCAL, KUBE, Attempt("ingress-n2-0", "client", "n2", 1), "passed it to nobody"),
        (INGRESS_LOCAL, KUBE, Attempt("", error="status 503"), "no answer: status 503"),
        (
            INGRESS_LOCAL,
            KUBE,
            Attempt("ingress-n2-0", "n2", "n2", 1, behind="web-n1-0"),
            "saw n2, not client",
        ),
        (HOST, KUBE, Attempt("n1", "client", "n1", 1, behind="web-n1-0"), "routed 1 times, not 0"),
    ],
)
def test_what_is_not(row: Row, setting: Setting, attempt: Attempt, said: str) -> None:
    assert said in wrong(row, (attempt,), row.caller, setting)


@pytest.mark.parametrize(
    ("row", "setting", "kept"),
    [
        (OUT_TO_N1, KUBE, True),
        (OUT_TO_N1, BLIND, False),
        (Row("NodePort", "Cluster", "node", "n1", "n1"), KUBE, True),
        (Row("NodePort", "Cluster", "node", "n3", "n1"), KUBE, False),
        (Row("LoadBalancer", "Cluster", "node", "n1"), KUBE, True),
        (Row("LoadBalancer", "Cluster", "node", "n1"), CLOUD, False),
        (NODE_BESIDE, ONE_LIST, False),
        (INGRESS_LOCAL, CLOUD, False),
    ],
)
def test_whether_the_callers_own_address_is_seen(row: Row, setting: Setting, kept: bool) -> None:
    assert keeps(row, setting) == kept
