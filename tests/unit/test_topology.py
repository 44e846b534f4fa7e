"""The topology's values: defaults, timing, and which of them this version builds."""

from __future__ import annotations

import random
from ipaddress import IPv4Network
from typing import Any

import pytest
from pydantic import ValidationError

from testbed.model.service import ServiceSpec
from testbed.model.timing import Delay, Timing
from testbed.model.topology import Topology

MINIMAL: dict[str, Any] = {"name": "lab", "nodes": {"n1": None}}


def topology(**sections: Any) -> Topology:
    return Topology.model_validate({**MINIMAL, **sections})


def test_defaults_are_kubernetes_own() -> None:
    lab = topology()
    assert lab.timing == Timing()
    assert lab.timing.changed() == {}
    assert (lab.timing.relist_period_s, lab.timing.probe_period_s) == (1, 10)
    assert (lab.timing.node_monitor_period_s, lab.timing.node_monitor_grace_period_s) == (5, 50)
    assert lab.timing.not_ready_toleration_s == 300
    assert (lab.timing.restart_backoff_s, lab.timing.restart_backoff_max_s) == (10, 300)
    assert lab.timing.api_delay.none
    assert (lab.proxy.min_sync_period_s, lab.proxy.sync_period_s) == (1, 30)
    assert lab.network.node_cidrs == (IPv4Network("172.18.0.0/16"),)
    assert lab.network.families == (4,)
    assert lab.dns.replicas == 2


def test_a_topology_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        topology().name = "other"  # type: ignore[misc]


def test_changed_timing_is_named_as_in_the_yaml() -> None:
    lab = topology(timing={"relistPeriod": "250ms", "apiDelay": "5ms", "probePeriod": 10})
    assert lab.timing.changed() == {"relistPeriod": 0.25, "apiDelay": {"value": 0.005}}


@pytest.mark.parametrize(
    ("written", "low", "high"),
    [
        ({"distribution": "uniform", "low": "1ms", "high": "3ms"}, 0.001, 0.003),
        ({"distribution": "exponential", "mean": "2ms"}, 0.0, 0.1),
        ({"distribution": "lognormal", "median": "2ms", "p99": "9ms"}, 0.0, 0.2),
        ({"value": "4ms"}, 0.004, 0.004),
    ],
)
def test_a_delay_draws_from_its_distribution(
    written: dict[str, Any], low: float, high: float
) -> None:
    delay = Delay.model_validate(written)
    draws = [delay.draw(random.Random(1)) for _ in range(3)]
    assert len(set(draws)) == 1
    chance = random.Random(2)
    assert all(low <= delay.draw(chance) <= high for _ in range(300))


def test_a_lognormal_delay_has_its_median_and_p99() -> None:
    delay = Delay.model_validate({"distribution": "lognormal", "median": "2ms", "p99": "9ms"})
    chance = random.Random(3)
    draws = sorted(delay.draw(chance) for _ in range(20_000))
    assert draws[10_000] == pytest.approx(0.002, rel=0.05)
    assert draws[19_800] == pytest.approx(0.009, rel=0.1)


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ({"port": 80}, "ClusterIP"),
        ({"port": 80, "nodePort": 30000}, "NodePort"),
        ({"ports": [{"port": 80, "nodePort": 30000}]}, "NodePort"),
        ({"externalName": "example.org"}, "ExternalName"),
        ({"port": 80, "type": "LoadBalancer"}, "LoadBalancer"),
    ],
)
def test_a_services_type_follows_from_its_keys(written: dict[str, Any], kind: str) -> None:
    assert ServiceSpec.model_validate(written).kind == kind


def test_a_link_is_the_same_on_its_way_to_the_lab() -> None:
    """A lab is told of its topology in JSON: what is not said of the way back stays not said."""
    lab = topology(links=[{"endpoints": ["n1", "s1"], "delay": "5ms", "rate": "1mbit"}])
    told = lab.model_dump(mode="json", by_alias=True, exclude_none=True)
    there, back = Topology.model_validate(told).links[0].shapes()
    assert there == back == lab.links[0].shapes()[0]
