"""Labs whose pods are wired by CNI plug-ins, held against the same promise as the testbed's own links.

`python -m tests.lab.cni_scenario KIND` brings one up and prints what is not as promised: for a test that does
so as an ordinary user.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from testbed.lab.client import Lab
from testbed.lab.trace_request import trace
from testbed.model.loader import load
from testbed.model.topology import Topology
from tests.lab.reachability import OF_NETWORK, PROMISES, Promise, broken, topology

SHIPPED_FILE = Path(__file__).parents[2] / "topologies/cni-bridge.yaml"
SHIPPED = load(SHIPPED_FILE).network.cni.conflist
assert SHIPPED is not None
HOST_LOCAL = {
    "type": "host-local",
    "subnet": "{{.PodCIDR}}",
    "routes": [{"dst": "0.0.0.0/0"}],
}
OUR_LOCAL = {**HOST_LOCAL, "type": "testbed-local"}
PTP = {"type": "ptp", "mtu": "{{.MTU}}", "ipam": HOST_LOCAL}
PORTMAP = {"type": "portmap", "capabilities": {"portMappings": True}}
BRIDGED = {"type": "testbed-bridged", "isGateway": True, "mtu": "{{.MTU}}", "ipam": OUR_LOCAL}


def listed(*plugins: Mapping[str, Any], version: str = "1.0.0") -> dict[str, Any]:
    return {"cniVersion": version, "name": "pods", "plugins": [dict(one) for one in plugins]}


GATEWAY_SPEAKS = Promise(nodes_as_at_home=OF_NETWORK)
"""A node that dials its own pods does so from the gateway's address, which is in their range."""
KINDS: Mapping[str, tuple[dict[str, Any], Promise]] = {
    "bridge, host-local, portmap": (SHIPPED, GATEWAY_SPEAKS),
    "ptp, host-local, portmap": (listed(PTP, PORTMAP), GATEWAY_SPEAKS),
    "testbed-routed, host-local, portmap": (
        listed({**PTP, "type": "testbed-routed"}, PORTMAP),
        PROMISES["host-gw"],
    ),
    "testbed-bridged, testbed-local": (listed(BRIDGED, version="1.1.0"), GATEWAY_SPEAKS),
}
DOOR = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "door"},
    "spec": {
        "nodeName": "n1",
        "containers": [
            {
                "name": "door",
                "image": "testbed/echo",
                "ports": [{"containerPort": 8080, "hostPort": 8000}],
            }
        ],
    },
}


def lab_of(conflist: Mapping[str, Any], **more: Any) -> Topology:
    """Three nodes, pods on two of them, a service, and a pod with a host port."""
    services = {"a": {"port": 80, "targetPort": 8080}, "c": {"port": 80, "targetPort": 8080}}
    return topology(
        {"cni": {"conflist": dict(conflist)}}, services=services, manifests=(DOOR,), **more
    )


def services_broken(lab: Lab) -> list[str]:
    """A sentence for each answer that does not come: services near, far and one's own, and a host port."""
    rows = {row["name"]: row["clusterIP"] for row in lab.inspect()["services"]}
    n1 = lab.inspect()["nodes"][0]["addresses"][0]
    urls = {
        "a-0's own service": ("a-0", f"http://{rows['a']}/hostname", "a-0"),
        "a service on the same node": ("b-0", f"http://{rows['a']}/hostname", "a-0"),
        "a service on another node": ("a-0", f"http://{rows['c']}/hostname", "c-0"),
        "a host port from outside": ("outside", f"http://{n1}:8000/hostname", "door"),
        "a host port from a pod": ("c-0", f"http://{n1}:8000/hostname", "door"),
    }
    problems = []
    for what, (where, url, whose) in urls.items():
        said = lab.exec(where, ["curl", "-s", "-m", "60", url], 300).stdout
        if said != whose:
            problems.append(f"{what}: {said!r}")
    return problems


def traces_broken(lab: Lab) -> list[str]:
    """What `trace` finds otherwise than the rules say: a node and a pod that dial services near and far."""
    return [
        f"trace from {source} to {to}: {one}"
        for source in ("n1", "a-0")
        for to in ("a", "c")
        for one in trace(lab, source, to, "0badcafe", udp=False, timeout_s=60)[0]["disagreements"]
    ]


def main(kind: str) -> int:
    """0 where all is as promised."""
    conflist, promise = KINDS[kind]
    name = f"test-{uuid.uuid4().hex[:8]}"
    with Lab.up(lab_of(conflist), name=name, ephemeral=True) as lab:
        problems = broken(lab, promise) + services_broken(lab) + traces_broken(lab)
    print("\n".join(problems))
    return bool(problems)


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
