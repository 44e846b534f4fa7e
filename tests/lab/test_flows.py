"""Each row of the flow table, dialled in real namespaces: the same rows that the tracer reads.

`-s` shows the count of wrong rows in each mode, profile and IP family. SCTP rows are dialled where the
kernel has SCTP sockets, as the packaged guest kernel has (tests/guest).
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.flow import OPTIONS
from tests.flow_lab import DIALLED_STATES, SILENCE_S, FlowLab, Setting, differing_states, flow_lab
from tests.flows import DROPPED, PROFILES, REFUSED

pytestmark = pytest.mark.lab

MODES: dict[str, dict[str, Any]] = {
    "iptables-nft": {"mode": "iptables", "iptables": {"variant": "nft"}},
    "iptables-legacy": {"mode": "iptables", "iptables": {"variant": "legacy"}},
    "nftables": {"mode": "nftables"},
    # An answer by UDP that takes longer is lost: after 250 ms by default, too soon on a busy machine.
    "userspace": {"mode": "userspace", "userspace": {"udpIdleTimeout": "10s"}},
}
TOLD_THE_SAME = "iptables-legacy"
"""The same rules as iptables-nft, letter by letter."""
DOCUMENTED = tuple(label for label in MODES if label != TOLD_THE_SAME)


SETTINGS = (
    *((label, PROFILES[0]) for label in MODES),
    *((label, PROFILES[1]) for label in DOCUMENTED),
)
CONNTRACK_DECIDES = tuple(one for one in SETTINGS if one[0] != "userspace")
"""The userspace mode's process keeps a client's datagrams together, whatever conntrack holds."""


@pytest.fixture(scope="module", params=SETTINGS, ids="/".join)
def bench(request: pytest.FixtureRequest) -> Iterator[FlowLab]:
    label, profile = request.param
    setting = Setting(label, MODES[label], profile)
    with flow_lab(f"flows-{os.getpid()}-{uuid.uuid4().hex[:6]}", setting) as found:
        yield found


def test_every_row(bench: FlowLab) -> None:
    for verdict in bench.verdicts(states_of(bench.setting)):
        print(verdict)
        assert verdict.wrong == {}, verdict.details()
        assert verdict.rows >= 150


def states_of(setting: Setting) -> tuple[str, ...]:
    """All states; in profile `documented` those in which kube-proxy differs, and the base."""
    if setting.profile != PROFILES[0]:
        return differing_states(setting)
    return ("base",) if setting.label == TOLD_THE_SAME else DIALLED_STATES


@pytest.mark.parametrize("bench", CONNTRACK_DECIDES, ids="/".join, indirect=True)
def test_a_udp_client_that_keeps_its_port_follows_its_service(bench: FlowLab) -> None:
    """Its conntrack entry would lead it to the old pod, which is still there and would answer."""
    for plan in bench.plans.values():
        target = {
            "host": plan.addresses["datagram"],
            "port": 53,
            "protocol": "udp",
            "source_port": 4001,
            "attempts": 30,
            "timeout_s": SILENCE_S,
            "until": REFUSED,
            "failures": 30,
        }
        seen = []
        for state in ("base", "datagrams moved", "datagrams gone", "datagrams moved", "base"):
            bench.become(state)
            seen.append({who for who, _ in bench.dial("dialer-3", target)} - {DROPPED})
        first, moved, gone, again, last = seen
        assert len(first) == 1
        assert first <= {"web-0", "web-1"}
        assert moved == again == {"web-2"}
        # kube-proxy 1.36 forgets a service's entries only while it has an endpoint: issue 139628.
        assert gone == ({"web-2"} if bench.setting.profile == PROFILES[0] else {REFUSED})
        assert last <= {"web-0", "web-1"}


@pytest.mark.parametrize("option", [name for name in OPTIONS if name])
@pytest.mark.parametrize("label", ["iptables-nft", "nftables", "userspace"])
def test_rows_of_an_option(label: str, option: str) -> None:
    setting = Setting(label, MODES[label], PROFILES[0], option=option)
    with flow_lab(f"flows-{os.getpid()}-{uuid.uuid4().hex[:6]}", setting) as bench:
        for verdict in bench.verdicts(["base"]):
            print(verdict)
            assert verdict.wrong == {}, verdict.details()
            assert verdict.rows > 0


NETWORKS = (
    ("iptables-nft", "vxlan"),
    ("userspace", "vxlan"),
    ("nftables", "weave"),
    ("iptables-nft", "bgp"),
)
"""Each network under two ways of hiding; IPVS over both: tests/guest."""


@pytest.mark.parametrize(("label", "cni"), NETWORKS)
def test_rows_over_another_pod_network(label: str, cni: str) -> None:
    families = (4,) if cni == "weave" else (4, 6)
    setting = Setting(label, MODES[label], PROFILES[0], cni=cni, families=families)
    with flow_lab(f"flows-{os.getpid()}-{uuid.uuid4().hex[:6]}", setting) as bench:
        for verdict in bench.verdicts(["base"]):
            print(verdict)
            assert verdict.wrong == {}, verdict.details()
            assert verdict.rows > 0
