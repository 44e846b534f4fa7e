"""Which features a topology needs of a kernel, and which modes a kernel with given features has."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.errors import UsageError
from testbed.kernel.features import Feature
from testbed.lab.kernels import Variant, choose, modes, needed
from testbed.model.topology import Topology

PACKAGED = frozenset(Feature) - {
    Feature.NFTABLES,
    Feature.IPTABLES_NFT,
    Feature.IP6TABLES_NFT,
    Feature.IPVS_TWOS,
}
"""What the distribution's guest kernel has."""


def topology(**values: Any) -> Topology:
    return Topology.model_validate({"name": "any", "nodes": {"n1": {}}, **values})


@pytest.mark.parametrize(
    ("proxy", "variant", "features"),
    [
        ({"mode": "iptables"}, "legacy", {"iptables-legacy"}),
        ({"mode": "iptables"}, "nft", {"iptables-nft"}),
        ({"mode": "iptables", "iptables": {"variant": "nft"}}, "legacy", {"iptables-nft"}),
        ({"mode": "nftables"}, "legacy", {"nftables"}),
        ({"mode": "ipvs"}, "legacy", {"ipvs", "ipset", "dummy", "iptables-legacy"}),
        ({"mode": "ipvs", "ipvs": {"scheduler": "twos"}}, "legacy", {"ipvs-twos"}),
    ],
)
def test_a_mode_needs_its_features(
    proxy: dict[str, Any], variant: Variant, features: set[str]
) -> None:
    found = needed([topology(proxy=proxy)], variant)
    assert set(map(Feature, features)) | {Feature.CONNTRACK} <= found


def test_what_is_compared_needs_the_features_of_all() -> None:
    both = [topology(proxy={"mode": mode}) for mode in ("ipvs", "nftables")]
    assert {Feature.IPVS, Feature.NFTABLES} <= needed(both, "legacy")


SHAPED: list[tuple[dict[str, Any], set[Feature]]] = [
    ({}, set()),
    ({"rate": "1gbit", "queue": 50}, {Feature.TBF}),
    ({"delay": "1ms"}, {Feature.TBF, Feature.NETEM}),
    ({"back": {"loss": "1%"}}, {Feature.TBF, Feature.NETEM}),
]


@pytest.mark.parametrize(("link", "features"), SHAPED)
def test_what_a_shaped_link_needs(link: dict[str, Any], features: set[Feature]) -> None:
    links = [{"endpoints": ["n1", "tor"], **link}]
    found = needed([topology(links=links)], "legacy")
    assert found & {Feature.TBF, Feature.NETEM} == features


def test_the_packaged_guest_has_no_mode_of_nf_tables() -> None:
    assert set(modes(PACKAGED)) == {"iptables-legacy", "ipvs", "userspace"}


def test_a_kernel_with_everything_has_every_mode() -> None:
    everything = {"iptables-nft", "iptables-legacy", "ipvs", "nftables", "userspace"}
    assert set(modes(frozenset(Feature))) == everything


def test_what_asks_for_two_kernels_cannot_be_compared() -> None:
    with pytest.raises(UsageError, match="host, some for uml"):
        choose([topology(kernel="host"), topology(kernel="uml")])
