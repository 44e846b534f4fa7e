"""Every pod, node and outside host to every other one, in each pod network: answered or not, seen as whom, and
with packets as large as their links take.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from testbed.errors import NotFound, UsageError
from testbed.lab.client import Lab
from tests.lab import reachability
from tests.lab.conftest import ONCE, User, unique_name
from tests.lab.reachability import PROMISES, broken, topology

pytestmark = pytest.mark.lab


@pytest.mark.parametrize(
    ("network", "runtime"), [*((network, "netns") for network in PROMISES), ("host-gw", "mininet")]
)
@ONCE
def test_a_pod_network_keeps_its_promise(user: User, network: str, runtime: str) -> None:
    done = subprocess.run(
        [*user.prefix, sys.executable, "-m", reachability.__name__, network, runtime],
        capture_output=True,
        text=True,
        env=dict(user.env),
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_both_ip_families_are_tried_and_a_broken_way_is_found() -> None:
    dual = topology({"podCIDR": "10.244.0.0/16,fd00:10:244::/56"})
    with Lab.up(dual, name=unique_name(), ephemeral=True) as lab:
        whole = lab.reachability(["a-0"], ["c-0"])
        assert [(one.outcome, one.there_bytes, one.back_bytes) for one in whole] == [
            ("reached", 1500, 1500)
        ] * 2
        assert ["." in one.seen for one in whole] == [True, False]
        # As a firewall would that takes small packets for connections only.
        for large in ("iptables", "ip6tables"):
            rule = f"{large} -I FORWARD -p udp -m length --length 1000:65535 -j DROP"
            assert lab.exec("n2", rule.split()).returncode == 0
        halved = lab.reachability(["a-0"], ["c-0"], timeout_s=1.0)
        assert [(one.reached, one.there_bytes) for one in halved] == [(True, 0)] * 2
        assert lab.exec("n2", ["iptables", "-I", "FORWARD", "-j", "DROP"]).returncode == 0
        four, six = lab.reachability(["a-0"], ["c-0"], timeout_s=1.0)
        assert (four.outcome, six.outcome) == ("timeout", "reached")
        problems = broken(lab, PROMISES["host-gw"])
        assert any("a-0 -> c-0" in problem for problem in problems)
        assert not any("a-0 -> b-0" in problem for problem in problems)
        with pytest.raises(NotFound, match="a-1"):
            lab.reachability(["a-1"])
        with pytest.raises(UsageError, match="too large"):
            lab.reachability(["a-0"] * 300, ["c-0"] * 300)
