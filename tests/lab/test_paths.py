"""Ways through a lab beside two plain namespaces: latency by kernels alone, throughput of one stream."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from testbed.errors import TestbedError
from testbed.kernel.links import LARGE_BYTES
from testbed.lab.client import Lab
from testbed.model.network import Network
from testbed.model.topology import Topology
from tests.lab.conducted import conducted
from tests.lab.conftest import unique_name

pytestmark = pytest.mark.lab

PORT = 5001
TOPOLOGY = Topology.model_validate(
    {
        "name": "paths",
        "nodes": {"n1": {}, "n2": {}},
        "dns": {"replicas": 0},
        "workloads": {"client": {"node": "n1"}, "far": {"node": "n2"}},
        "services": {"client": {"port": 80, "targetPort": PORT}},
    }
)
SHORT = {"rounds": 2, "connections": 3, "packets": 4, "stream_s": 0.05, "warm_s": 0.02, "seed": 1}


def test_every_way_is_measured_in_every_round_beside_the_plain_one() -> None:
    with Lab.up(TOPOLOGY, name=unique_name(), ephemeral=True) as lab:
        view = lab.inspect()
        far = next(row["ip"] for row in view["pods"] if row["name"] == "far-0")
        own = next(row["clusterIP"] for row in view["services"] if row["name"] == "client")
        ways = {
            "far": {"dial": [far, PORT], "serve": "far-0", "port": PORT},
            "hairpin": {"dial": [own, 80], "serve": "client-0", "port": PORT},
        }
        rows = lab.paths("client-0", ways, **SHORT)
        assert sorted((row["path"], row["round"]) for row in rows) == [
            (path, number) for path in ("far", "hairpin", "plain") for number in (0, 1)
        ]
        for row in rows:
            assert min(row["first_us"], row["packet_us"], row["bytes"]) > 0, row
            assert row["elapsed_ns"] >= SHORT["stream_s"] * 1e9
        astray = {"astray": {"dial": [far, PORT + 1], "serve": "far-0", "port": PORT}}
        with pytest.raises(TestbedError, match=r"measuring the paths: .*refused"):
            lab.paths("client-0", astray, **SHORT)


def test_the_experiment_notes_every_ratio_of_every_network(tmp_path: Path) -> None:
    run = conducted("paths", tmp_path, "network=host-gw,vxlan", "rounds=1")
    table = run.trials.set_index("network")
    assert (table.filter(like="over_plain") > 0).all(axis=None)
    assert table.filter(like="over_plain").shape == (2, 21)


LARGEST = """
import json, struct
from testbed.kernel import netlink
with netlink.Netlink() as link:
    links = [netlink.attributes(body[16:]) for _, body in link.dump(netlink.Message(18, 0, bytes(16), ""))]
veths = [one for one in links if b"veth" in one.get(18, b"")]
print(json.dumps([struct.unpack("=I", one[63])[0] if 63 in one else None for one in veths]))
"""
"""What each veth end takes whole; null: the kernel (before 6.3) has no such thing."""


@pytest.mark.parametrize(("network", "is_large"), [("host-gw", True), ("vxlan", False)])
def test_offloads_pass_large_packets_all_the_way_or_not_at_all(
    network: str, is_large: bool
) -> None:
    topology = TOPOLOGY.model_copy(update={"network": Network.model_validate({"cni": network})})
    with Lab.up(topology, name=unique_name(), ephemeral=True) as lab:
        pod, node = (
            json.loads(lab.exec(where, [sys.executable, "-c", LARGEST]).stdout)
            for where in ("client-0", "n1")
        )
        assert len(pod) == 1
        assert len(node) == 2  # its cable, and the pod's link
        large = {LARGE_BYTES, None}
        assert {*pod} <= large if is_large else LARGE_BYTES not in pod
        assert {*node} <= large if is_large else {*node} & large  # the cable, for others
