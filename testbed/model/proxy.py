"""A topology's `proxy:`: which kind of rules, whose behaviour."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from testbed.model.proxy_process import External, Userspace
from testbed.model.scalars import Duration, NodeAddresses
from testbed.model.strict import Strict

Scheduler = Literal[
    "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos"
]
Bug = Literal["keep-stale-udp"]
"""Faults of kube-proxy that it has mended since; the proxies show them where they are told to."""


class IPTables(Strict):
    """The iptables proxy."""

    variant: Literal["auto", "nft", "legacy"] = Field(
        "auto", description="auto: nft as root, legacy in a user namespace"
    )


class IPVS(Strict):
    """The IPVS proxy."""

    scheduler: Scheduler = Field("rr", description="how IPVS picks a backend")
    strict_arp: bool = Field(
        False,
        alias="strictARP",
        description="nodes answer ARP for their links' own addresses alone, not for services'",
        strict=True,
    )


class Proxy(Strict):
    """What makes service addresses work on every node."""

    mode: Literal["iptables", "nftables", "ipvs", "userspace", "external"] = Field(
        "iptables", description="the kind of rules"
    )
    iptables: IPTables = Field(IPTables(), description="of mode iptables")
    ipvs: IPVS = Field(IPVS(), description="of mode ipvs")
    userspace: Userspace = Field(Userspace(), description="of mode userspace")
    external: External = Field(External(), description="of mode external")
    min_sync_period_s: Duration = Field(
        1.0,
        alias="minSyncPeriod",
        description="least time from the end of one sync to the start of the next",
    )
    sync_period_s: Duration = Field(
        30.0, alias="syncPeriod", description="retry of a failed sync, and the periodic full one"
    )
    masquerade_all: bool = Field(
        False, description="hide every client of a cluster IP behind its node", strict=True
    )
    node_port_addresses: tuple[NodeAddresses, ...] = Field(
        (), description="networks of the nodes' addresses with node ports, or primary (the mode's)"
    )
    profile: Literal["kube-proxy-1.36", "documented"] = Field(
        "kube-proxy-1.36", description="whose behaviour, where kube-proxy and its documents differ"
    )
    bugs: tuple[Bug, ...] = Field(
        (),
        description="faults that kube-proxy has mended, brought back: keep-stale-udp never deletes "
        "UDP conntrack entries",
    )

    @model_validator(mode="after")
    def _external_has_a_command(self) -> Proxy:
        if self.mode == "external" and not self.external.command:
            raise ValueError("mode external needs external.command: what runs on every node")
        return self

    @model_validator(mode="after")
    def _external_has_its_own_bugs(self) -> Proxy:
        if self.mode == "external" and self.bugs:
            raise ValueError(
                "bugs are the testbed's own proxies'; mode external runs somebody else's"
            )
        return self
