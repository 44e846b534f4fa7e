"""Nodes as pod networks know them."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

from testbed.model.topology import Topology
from testbed.podnet.network import Member, NodeNetwork, PodNetwork, Site

MTU = 1500
FAMILIES = ((4,), (6,), (4, 6))


def member(number: int, families: tuple[int, ...] = (4,)) -> Member:
    """Node n1, n2, …"""
    addresses = {4: f"172.18.0.{number + 1}", 6: f"fd00::{number + 1}"}
    pods = {4: f"10.244.{number}.0/24", 6: f"fd01:0:0:{number}::/64"}
    return Member(
        f"n{number}",
        tuple(ip_address(addresses[family]) for family in families),
        tuple(ip_network(pods[family]) for family in families),
    )


def site(of: Member) -> Site:
    """The node itself, on one network with all others."""
    links = (f"{one}/{16 if one.version == 4 else 64}" for one in of.addresses)
    return Site(of.name, tuple(map(ip_interface, links)), MTU)


def announced(network: PodNetwork, nodes: list[Member]) -> list[Member]:
    """The nodes after each one's agent has said what the others need."""
    return [replace(one, annotations=network.annotations(site(one), one)) for one in nodes]


def plans(network: PodNetwork, nodes: list[Member]) -> dict[str, NodeNetwork]:
    """What each of the nodes has to have."""
    every = announced(network, nodes)
    return {one.name: network.plan(site(one), every) for one in every}


def network_topology(cni: str, **settings: object) -> Topology:
    """A topology whose `network:` says so."""
    network = {"cni": cni, **settings}
    return Topology.model_validate({"name": "any", "nodes": {"n1": {}}, "network": network})
