"""A mode's label and the proxy that it stands for."""

from __future__ import annotations

import pytest

from testbed.errors import UsageError
from testbed.experiment.modes import with_mode
from testbed.model.topology import Topology

TOPOLOGY = Topology.model_validate({"name": "t", "nodes": {"n1": {}}})


@pytest.mark.parametrize(
    ("label", "mode", "variant", "scheduler"),
    [
        ("iptables-legacy", "iptables", "legacy", "rr"),
        ("iptables-nft", "iptables", "nft", "rr"),
        ("nftables", "nftables", "auto", "rr"),
        ("ipvs/mh", "ipvs", "auto", "mh"),
        ("userspace", "userspace", "auto", "rr"),
    ],
)
def test_a_label_sets_the_proxy(label: str, mode: str, variant: str, scheduler: str) -> None:
    proxy = with_mode(TOPOLOGY, label).proxy
    assert (proxy.mode, proxy.iptables.variant, proxy.ipvs.scheduler) == (mode, variant, scheduler)


@pytest.mark.parametrize(
    "label", ["ipvs", "ipvs/quick", "iptables", "iptables-ebpf", "nftables/rr", "magic", ""]
)
def test_a_label_that_is_none_is_refused(label: str) -> None:
    with pytest.raises(UsageError, match="no proxy mode"):
        with_mode(TOPOLOGY, label)


def test_a_near_miss_is_told() -> None:
    with pytest.raises(UsageError, match="nftables"):
        with_mode(TOPOLOGY, "nftable")
