"""A Mininet Topo with delays in the distribution's guest kernel: its links are as long there as it says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.kernel import guests
from testbed.kernel.features import Feature
from testbed.lab.client import Lab
from testbed.lab.kernels import Carrier, needed
from testbed.model.loader import load_text
from testbed.sandbox.guest_features import features_of
from tests.lab.conftest import unique_name

pytestmark = pytest.mark.guest

TOPO = """
from mininet.topo import Topo

class Far(Topo):
    def build(self):
        near, far = self.addSwitch("s1"), self.addSwitch("s2")
        self.addLink(self.addHost("h1"), near)
        self.addLink(self.addHost("h2"), far)
        self.addLink(near, far, delay="20ms", bw=50, max_queue_size=40)
"""
TOPOLOGY = """
name: far
underlay: {mininet: "far.py:Far"}
dns: {replicas: 0}
workloads: {web: {replicas: 2}}
"""
THERE_AND_BACK_MS = 40.0


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("far")
    (folder / "far.py").write_text(TOPO)
    topology = load_text(TOPOLOGY, "far.yaml", Path(folder))
    assert Feature.NETEM in needed([topology], "legacy")
    guest = guests.named(guests.PACKAGED)
    carrier = Carrier(guest, features_of(guest))
    with Lab.up(topology, name=unique_name(), carrier=carrier, timeout_s=300) as running:
        yield running


def test_a_packet_takes_as_long_as_the_link_there_and_back(lab: Lab) -> None:
    said = lab.exec("mininet", ["h1 ping -q -c 5 -i 0.2 h2"], 120).stdout
    fastest = re.search(r"= ([\d.]+)/", said)
    assert fastest, said
    assert float(fastest[1]) >= THERE_AND_BACK_MS


def test_the_cli_is_there_and_pods_meet(lab: Lab) -> None:
    assert "0% dropped (2/2 received)" in lab.exec("mininet", ["pingall"], 120).stdout
    pods = {row["name"]: row for row in lab.inspect()["pods"]}
    url = f"http://{pods['web-1']['ip']}:8080/clientip"
    seen = lab.exec("web-0", ["curl", "-s", "-m", "60", url], 120).stdout
    assert seen.rpartition(":")[0] == pods["web-0"]["ip"]
