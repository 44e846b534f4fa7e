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


def test_a_balancer_is_a_variety_of_the_userspace_mode_and_its_other_settings_stay() -> None:
    proxy = {"userspace": {"loadPeriod": "20ms"}}
    topology = Topology.model_validate({"name": "t", "nodes": {"n1": {}}, "proxy": proxy})
    found = with_mode(topology, "userspace/random").proxy
    assert (found.mode, found.userspace.balancer) == ("userspace", "random")
    assert found.userspace.load_period_s == 0.02


def test_an_external_proxy_needs_its_command() -> None:
    with pytest.raises(UsageError, match=r"proxy\.external\.command"):
        with_mode(TOPOLOGY, "external")
