"""Rows: endpoints that are not there, not ready, or about to end."""

from __future__ import annotations

from tests.flow import REFUSED, Flow
from tests.flows_cluster_ip import KEPT

NO_ENDPOINT_FLOWS = (
    Flow("a service without endpoints refuses a pod", "dialer-3", "empty:80", otherwise=REFUSED),
    Flow("a service without endpoints refuses a node", "n1", "empty:80", otherwise=REFUSED),
    Flow(
        "a service without endpoints refuses a packet from outside",
        "client",
        "empty:80",
        otherwise=REFUSED,
        via="n2",
    ),
    Flow("its node port refuses an outside client", "client", "n1:30082", otherwise=REFUSED),
    Flow("its node port refuses a pod on another node", "dialer-3", "n1:30082", otherwise=REFUSED),
    Flow("its node port refuses the node itself", "n1", "n1:30082", otherwise=REFUSED),
    Flow(
        "a UDP port without endpoints refuses a pod",
        "dialer-1",
        "empty:53",
        otherwise=REFUSED,
        protocol="udp",
    ),
    Flow(
        "a UDP node port without endpoints refuses",
        "client",
        "n2:30054",
        otherwise=REFUSED,
        protocol="udp",
    ),
    Flow(
        "a service whose endpoints all fail refuses",
        "dialer-3",
        "failing:80",
        otherwise=REFUSED,
    ),
    Flow(
        "a sticky service without endpoints refuses",
        "dialer-3",
        "sticky-empty:80",
        otherwise=REFUSED,
    ),
    Flow(
        "a load balancer's address without endpoints refuses",
        "client",
        "balanced-empty-lb:80",
        otherwise=REFUSED,
        via="n1",
    ),
    Flow(
        "a load balancer's address without endpoints refuses a pod",
        "dialer-3",
        "balanced-empty-lb:80",
        otherwise=REFUSED,
    ),
    Flow(
        "external policy Local without any endpoint refuses at the node port",
        "client",
        "n1:30089",
        otherwise=REFUSED,
    ),
    Flow(
        "external policy Local without any endpoint refuses at the external IP",
        "client",
        "external-empty-ip:80",
        otherwise=REFUSED,
        via="n2",
    ),
    Flow(
        "external policy Local without any endpoint refuses at the load balancer's address",
        "client",
        "external-empty-lb:80",
        otherwise=REFUSED,
        via="n3",
    ),
    Flow(
        "external policy Local without any endpoint refuses at the cluster IP",
        "dialer-3",
        "external-empty:80",
        otherwise=REFUSED,
    ),
    Flow(
        "internal policy Local without any endpoint refuses",
        "dialer-3",
        "internal-empty:80",
        otherwise=REFUSED,
    ),
)

TERMINATING_FLOWS = (
    Flow(
        "with none ready, a terminating pod that still serves answers",
        "dialer-3",
        "draining:80",
        {"web-0": "dialer-3"},
        blind="closed",
    ),
    Flow(
        "with one ready, a terminating pod gets nothing new",
        "dialer-3",
        "mixed:80",
        {"web-1": "dialer-3"},
    ),
    Flow(
        "with all terminating and serving, all of them answer",
        "dialer-3",
        "web:80",
        KEPT,
        state="all draining",
        blind="closed",
    ),
    Flow(
        "with all terminating and serving, the node port answers",
        "client",
        "n3:30080",
        {"web-0": "n3", "web-1": "n3"},
        state="all draining",
        blind="closed",
    ),
)
