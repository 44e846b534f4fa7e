"""The back ends that the flow table is traced through, and how each one's plan is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import cast

from testbed.proxy.iptables import IptablesBackend
from testbed.proxy.ipvs import IpvsBackend
from testbed.proxy.ipvs_tracer import IpvsTracer
from testbed.proxy.nft_tracer import NftTracer
from testbed.proxy.nftables import NftablesBackend
from testbed.proxy.packet import NodeTracer
from testbed.proxy.ruleset import Backend, Ruleset
from testbed.proxy.table import ProxyConfig, forwarding_table
from testbed.proxy.tracer import Tracer
from testbed.proxy.userspace import UserspaceBackend
from testbed.proxy.userspace_tracer import UserspaceTracer
from testbed.store import Create, Snapshot, Store
from tests.addresses import (
    CLUSTER_CIDR,
    CLUSTER_CIDR6,
    PLAN,
    PLAN6,
    SERVICE_CIDR,
    SERVICE_CIDR6,
    Plan,
)
from tests.flow import OPTIONS
from tests.flows import PROFILES, cluster, nodes

PLANS = {4: PLAN, 6: PLAN6}

Read = Callable[[Ruleset, frozenset[str]], NodeTracer]


@dataclass(frozen=True, slots=True)
class Subject:
    """A back end as the flow table knows it: `mode` is what rows deviate by."""

    label: str
    mode: str
    backend: Callable[[int], Backend]
    """By IP family."""
    read: Read


SUBJECTS = (
    Subject(
        "iptables-nft",
        "iptables",
        lambda family: IptablesBackend("nft", family=family),
        lambda rules, local: Tracer(rules.tables, local),
    ),
    Subject(
        "iptables-legacy",
        "iptables",
        lambda family: IptablesBackend("legacy", family=family),
        lambda rules, local: Tracer(rules.tables, local),
    ),
    Subject(
        "nftables",
        "nftables",
        NftablesBackend,
        lambda rules, local: NftTracer(rules.tables, local),
    ),
    Subject(
        "ipvs/rr",
        "ipvs",
        lambda family: IpvsBackend("rr", "legacy", family),
        lambda rules, local: IpvsTracer(rules.tables, local),
    ),
    Subject(
        "userspace",
        "userspace",
        lambda family: UserspaceBackend("nft", family=family),
        lambda rules, local: UserspaceTracer(rules.tables, local),
    ),
)


@cache
def config_of(family: int, profile: str, option: str = "") -> ProxyConfig:
    """kube-proxy's options in the flow table's clusters; `option` is one of OPTIONS."""
    said = OPTIONS[option]
    return ProxyConfig(
        cluster_cidr=CLUSTER_CIDR6 if family == 6 else CLUSTER_CIDR,
        service_cidr=SERVICE_CIDR6 if family == 6 else SERVICE_CIDR,
        family=family,
        documented=profile == PROFILES[1],
        masquerade_all=bool(said.get("masqueradeAll")),
        node_port_addresses=tuple(cast("list[str]", said.get("nodePortAddresses", []))),
    )


@cache
def dual_stack_snapshot(state: str) -> Snapshot:
    """A state of the flow table with both IP families: each family's proxy must find its own."""
    store = Store(lambda: 0.0)
    store.apply(Create(item) for item in (*nodes(PLAN, PLAN6), *cluster(PLAN, state, PLAN6)))
    return store.snapshot()


@cache
def tracers(
    subject: Subject, flow_state: tuple[str, str], family: int, profile: str
) -> Mapping[str, NodeTracer]:
    """A tracer per node over what would go to its kernel; `flow_state` is a state and an option."""
    state, option = flow_state
    backend, plan = subject.backend(family), PLANS[family]
    config = config_of(family, profile, option)
    found = {}
    for node in plan.nodes:
        table = forwarding_table(dual_stack_snapshot(state), config, node)
        found[node] = subject.read(backend.plan(table), local_addresses(plan, node))
    return found


def local_addresses(plan: Plan, node: str) -> frozenset[str]:
    """The addresses of a node's links."""
    second = {plan.second[node]} if node in plan.second else set()
    return frozenset({plan.nodes[node], *second})
