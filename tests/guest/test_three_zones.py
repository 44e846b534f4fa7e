"""topologies/three-zones.yaml in the distribution's guest kernel: far zones are far, and routed to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.kernel import guests
from testbed.lab.client import Lab
from testbed.lab.kernels import Carrier
from testbed.model.loader import load
from testbed.sandbox.guest_features import features_of
from tests.lab.conftest import unique_name

pytestmark = pytest.mark.guest

FILE = Path(__file__).parents[2] / "topologies" / "three-zones.yaml"
ROUND_TRIP_MS = {"b1": 2 * 0.9, "c1": 2 * 18}
"""At least so long from a1: delay less jitter, both ways."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    guest = guests.named(guests.PACKAGED)
    carrier = Carrier(guest, features_of(guest))
    with Lab.up(load(FILE), name=unique_name(), carrier=carrier, timeout_s=300) as running:
        yield running


@pytest.mark.parametrize("target", sorted(ROUND_TRIP_MS))
def test_zones_are_as_far_apart_as_their_links_are_long(lab: Lab, target: str) -> None:
    addresses = {row["name"]: row["addresses"][0] for row in lab.inspect()["nodes"]}
    said = lab.exec("a1", ["ping", "-q", "-c", "10", "-i", "0.2", addresses[target]], 120).stdout
    fastest = re.search(r"= ([\d.]+)/", said)
    assert fastest, said
    assert float(fastest[1]) >= ROUND_TRIP_MS[target]


def test_a_service_with_a_preference_answers_from_the_own_zone(lab: Lab) -> None:
    ask = ["curl", "-s", "-m", "60", "http://near/hostname"]
    nodes = {row["name"]: row["node"] for row in lab.inspect()["pods"]}
    answers = {lab.exec("client-0", ask, 120).stdout for _ in range(8)}
    assert {nodes[pod] for pod in answers} <= {"a1", "a2"}
