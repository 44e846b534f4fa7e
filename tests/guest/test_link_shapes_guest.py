"""Links with delay, jitter and loss in the distribution's guest kernel, which has netem."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from testbed.kernel import guests
from testbed.lab.client import Lab
from testbed.lab.kernels import Carrier
from testbed.model.topology import Topology
from testbed.sandbox.guest_features import features_of
from tests.lab.conftest import unique_name

pytestmark = pytest.mark.guest

TOPOLOGY: dict[str, Any] = {
    "name": "shapes",
    "nodes": {"n1": {}, "n2": {}},
    "hosts": {"client": {}},
    "dns": {"replicas": 0},
    "timing": {"nodeMonitorGracePeriod": "1h"},
    "proxy": {"iptables": {"variant": "legacy"}},
    "links": [
        {"endpoints": ["n1", "core"], "delay": "20ms", "jitter": "5ms"},
        {"endpoints": ["n2", "core"], "rate": "50mbit"},
        {"endpoints": ["client", "core"]},
    ],
}
PINGS = 200


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    guest = guests.named(guests.PACKAGED)
    carrier = Carrier(guest, features_of(guest))
    with Lab.up(
        Topology.model_validate(TOPOLOGY), name=unique_name(), carrier=carrier, timeout_s=300
    ) as running:
        yield running


def pinged(lab: Lab, count: int = PINGS, wait_s: int = 10) -> tuple[int, float | None]:
    """How many of so many packets from n1 to n2 were answered, and the fastest of them (ms)."""
    address = lab.inspect()["nodes"][1]["addresses"][0]
    argv = ["ping", "-q", "-i", "0.01", "-W", str(wait_s), "-c", str(count), address]
    said = lab.exec("n1", argv, 300).stdout
    fastest = re.search(r"= ([\d.]+)/", said)
    found = re.search(r"(\d+) received", said)
    assert found, said
    return int(found[1]), float(fastest[1]) if fastest else None


def link(lab: Lab, name: str) -> dict[str, Any]:
    return next(row for row in lab.inspect()["links"] if row["name"] == name)


def test_what_the_file_says_is_what_packets_meet(lab: Lab) -> None:
    assert link(lab, "n1:core")["shapes"] == [{"delay_s": 0.02, "jitter_s": 0.005}] * 2
    said = lab.exec("n1", ["tc", "qdisc", "show", "dev", "eth0"], 30).stdout
    assert re.search(r"netem .*delay 20(\.0)?ms\s+5(\.0)?ms", said), said
    received, fastest_ms = pinged(lab)
    assert received == PINGS
    assert fastest_ms is not None
    assert fastest_ms >= 2 * 15.0


def test_an_impairment_lasts_until_it_is_healed(lab: Lab) -> None:
    lab.fault("impair", "n2", "core", loss=0.5, direction="out")
    assert link(lab, "n2:core")["shapes"] == [{"loss": 0.5, "rate_bps": 5e7}, {"rate_bps": 5e7}]
    received, _ = pinged(lab)
    assert 60 <= received <= 140  # of 200 half: more than five standard deviations either way
    lab.fault("impair", "n1", delay_s=0.04, direction="in")
    assert link(lab, "n1:core")["shapes"] == [
        {"delay_s": 0.02, "jitter_s": 0.005},
        {"delay_s": 0.04},
    ]
    _, fastest_ms = pinged(lab)
    assert fastest_ms is not None
    assert fastest_ms >= 15.0 + 40.0
    for machine in ("n1", "n2"):
        assert lab.heal(machine).detail["healed"] == ["impair"]
    assert not any(row["impaired"] for row in lab.inspect()["links"])
    assert pinged(lab)[0] == PINGS


def test_a_change_loses_no_packet_that_is_under_way(lab: Lab) -> None:
    found: list[tuple[int, float | None]] = []
    other = lab.another()
    pinging = threading.Thread(target=lambda: found.append(pinged(other)))
    pinging.start()
    for delay_s in (0.05, 0.01, 0.03):
        lab.fault("impair", "n1", delay_s=delay_s)
    lab.heal("n1")
    pinging.join()
    other.close()
    assert found[0][0] == PINGS


def test_sides_are_apart_here_too(lab: Lab) -> None:
    lab.fault("partition", "n1", "n2")
    assert pinged(lab, 3, wait_s=1)[0] == 0
    lab.heal("partition")
    assert pinged(lab)[0] == PINGS


def test_nothing_is_left_of_a_shape_once_its_packets_have_arrived(lab: Lab) -> None:
    def qdiscs() -> str:
        return lab.exec("client", ["tc", "qdisc", "show", "dev", "eth0"], 30).stdout

    assert "tbf" not in qdiscs()
    lab.fault("impair", "client", delay_s=0.5, direction="out")
    assert "delay 500ms" in qdiscs()
    address = lab.inspect()["nodes"][1]["addresses"][0]
    lab.exec("client", ["ping", "-q", "-i", "0.01", "-c", "20", "-W", "1", address], 60)
    lab.heal("client")
    while "tbf" in qdiscs():  # for as long as something is under way
        pass
