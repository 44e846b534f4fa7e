"""A DNS pod dies: what do clients see, by fault, proxy mode and C library, with and without a cache?"""

from __future__ import annotations

import json
import math
import random
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import pandas as pd

from testbed.analysis import dns_failover
from testbed.analysis.arms import arms
from testbed.analysis.dns_failover import FAULTS, LIBRARIES, ROTATE
from testbed.analysis.run import Finding, Run
from testbed.dns.lookups import STARTED
from testbed.errors import OutOfTimeOrRoom, TestbedError, UsageError
from testbed.experiment.arrange import (
    MIN_SYNC_S,
    RELIST_S,
    require_positive,
    with_clients_on_every_node,
    with_timing,
)
from testbed.experiment.beside import Beside
from testbed.experiment.modes import MODES, with_mode
from testbed.experiment.module import Factors, Profile, Value
from testbed.experiment.names import with_chain, with_node_local
from testbed.experiment.primary import Pilot, Primary
from testbed.experiment.subjects import PodRef, live_nodes, pods_of
from testbed.experiment.trial_lab import READY_S, TrialLab, is_write
from testbed.kernel.features import Feature
from testbed.model.topology import Topology

QUESTION = (
    "When one of two DNS pods crashes, hangs or loses its node, which look-ups fail, which are late, and for"
    " how long?"
)
HYPOTHESIS = (
    "Two attempts are enough: less than 1 % of glibc's look-ups fail while a dead DNS pod is in service, and"
    " the last one in trouble is begun no later than the fault is noticed and programmed."
)
REFUTED_IF = "In some arm more fail, or it is shown to last longer."

FACTORS: dict[str, tuple[Value, ...]] = {
    "fault": FAULTS,
    "path": ("plain", "node-local"),
    "proxy": ("iptables-nft", "nftables"),
    "timeout_s": (5,),
    "attempts": (2,),
    "probe_period_s": (10,),
    "monitor_period_s": (5,),
    "monitor_grace_s": (50,),
    "rate_rps": (5.0,),
}
"""`path`: pods ask the cluster's servers, or a cache on their node. `timeout_s` and `attempts` are those of
resolv.conf; `probe_period_s` is that of the DNS pods' readiness probe, which fails three times before a pod is
not ready; `monitor_…`: the node controller's. `rate_rps`: of each library and kind of name, on each node."""
CHOICES = {"proxy": tuple(mode for mode in MODES if mode != "external")}
REPEATS = 10
REQUIRES = frozenset({Feature.CONNTRACK})
TIMING = True
PROFILES = {
    "smoke": Profile(
        repeats=1,
        factors={
            "fault": ("crash", "hang"),
            "path": ("plain",),
            "proxy": ("iptables-nft",),
            "timeout_s": (1,),
            "probe_period_s": (0.3,),
            "monitor_period_s": (0.5,),
            "monitor_grace_s": (1,),
        },
    )
}

STOP_NODE = "stop-node"
SHARE = 0.01
PATIENCE_S = 600.0
"""What a client may take at most: longer than any trial."""
PROBE_TIMEOUT_S, PROBE_FAILURES = 1.0, 3
MARGIN_S = 0.5
"""Beyond what the mechanisms need at most: processing."""
LEAD_IN_S, HOLD_S = 0.5, 0.5
"""Look-ups before the fault, which show that nothing is late without one, and after it is over."""
SAME_NAME = "web.default.svc.cluster.local."
NEW_NAME = "n{n}.default.svc.cluster.local."
"""Names that are there, and that are not: an answer either way, in one round."""


def topology(factors: Factors) -> Topology:
    """Three nodes, DNS pods on two of them, a client on each.

    Raises UsageError for what is no path, or no load.
    """
    require_positive("dns-failover", factors, "timeout_s", "attempts", "probe_period_s", "rate_rps")
    path = str(factors["path"])
    if path not in {"plain", "node-local"}:
        raise UsageError(f"dns-failover knows no path {path!r}", "there is plain, node-local")
    made = Topology.model_validate(
        {
            "name": "dns-failover",
            "nodes": {"n1": {}, "n2": {}, "n3": {}},
            "workloads": {"web": {"port": 8080}},
            "services": {"web": {"port": 80, "targetPort": 8080}},
        }
    )
    made = with_timing(
        with_mode(made, str(factors["proxy"])),
        probe_period_s=float(factors["probe_period_s"]),
        node_monitor_period_s=float(factors["monitor_period_s"]),
        node_monitor_grace_period_s=float(factors["monitor_grace_s"]),
    )
    made = with_node_local(with_chain(made), on=path == "node-local")
    return with_clients_on_every_node(made)


def noticed_s(factors: Factors) -> float:
    """What a fault takes at most until its endpoint is withdrawn."""
    period_s = float(factors["probe_period_s"])
    return {
        "crash": RELIST_S,
        "hang": PROBE_FAILURES * period_s + PROBE_TIMEOUT_S,
        STOP_NODE: float(factors["monitor_grace_s"]) + float(factors["monitor_period_s"]),
    }[str(factors["fault"])]


def limit_s(factors: Factors) -> float:
    """When the trouble is over at the latest: noticed, programmed, and a margin."""
    return noticed_s(factors) + MIN_SYNC_S + MARGIN_S


def patience_s(factors: Factors) -> float:
    """How long a look-up may take: every attempt."""
    return float(factors["timeout_s"]) * int(factors["attempts"])


def estimate_s(factors: Factors) -> float:
    """How long a trial takes on average, without its lab."""
    return LEAD_IN_S + limit_s(factors) + HOLD_S + patience_s(factors)


def trial(lab: TrialLab, factors: Factors, seed: int) -> None:
    """Look-ups from every node that stays; one DNS pod fails; watched until all nodes avoid it."""
    lab.subject()
    view = lab.inspect()
    servers = [pod for name, pod in pods_of(view).items() if "/coredns-" in name]
    for pod in servers:
        lab.wait_event(partial(is_write, kind="endpoint-ready", ip=pod.ip, since_ns=0), READY_S)
    chance = random.Random(seed)
    victim = chance.choice(servers)
    stops = factors["fault"] == STOP_NODE
    nodes = [str(node["name"]) for node in live_nodes(view)]
    asking = {
        node: lab.begin(f"client-{node}-0", _command(factors, servers), PATIENCE_S)
        for node in nodes
        if not (stops and node == victim.node)
    }
    for node, one in asking.items():
        if one.line().strip() != STARTED:
            _streams(node, one)
    lab.pause(LEAD_IN_S + chance.uniform(0, min(float(factors["probe_period_s"]), 1.0)))
    fault = lab.fault(str(factors["fault"]), victim.node if stops else victim.name)
    with suppress(OutOfTimeOrRoom):  # what takes longer is seen in the look-ups
        lab.await_programmed("endpoint-not-ready", victim.ip, fault.t_ns, 2 * limit_s(factors))
    lab.pause(HOLD_S)
    for one in asking.values():
        one.stop()
    for node, one in asking.items():
        lab.note(dns_failover.NOTE, client=node, streams=_streams(node, one))


def _command(factors: Factors, servers: Sequence[PodRef]) -> list[str]:
    """What looks names up in a client: each library, each kind of name."""
    common = {
        "rate_rps": float(factors["rate_rps"]),
        "timeout_s": float(factors["timeout_s"]),
        "attempts": int(factors["attempts"]),
    }
    streams = [
        {"library": library, "name": name, **common}
        for library in LIBRARIES
        for name in (SAME_NAME, NEW_NAME)
    ]
    for stream in streams:
        if stream["library"] == ROTATE:
            stream["nameservers"] = [pod.ip for pod in servers]
    jobs = {"streams": streams, "drain_s": 2 * patience_s(factors) + 1.0}
    return [sys.executable, "-m", "testbed.dns.lookups", json.dumps(jobs)]


def _streams(node: str, asking: Beside) -> list[dict[str, Any]]:
    """What a client's look-ups came to. Raises TestbedError where it failed."""
    done = asking.result()
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise TestbedError(f"the look-ups on {node} ended with {done.returncode}: {last}")
    streams: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])["streams"]
    return streams


def measure(run: Run) -> pd.DataFrame:
    """Shares and times of each library and kind of name, for trials.csv."""
    return dns_failover.metrics(run)


def primary(run: Run) -> list[Primary]:
    """When glibc's trouble is over."""
    return dns_failover.primaries(run)


def pilot(factors: Factors) -> tuple[Pilot, ...]:
    """Noticed anywhere within a period of what notices, and programmed: on the logarithm."""
    period_s = {
        "crash": RELIST_S,
        "hang": float(factors["probe_period_s"]),
        STOP_NODE: float(factors["monitor_period_s"]),
    }[str(factors["fault"])]
    typical_s = noticed_s(factors) - period_s / 2 + MIN_SYNC_S / 10
    spread = period_s / 12**0.5 / typical_s
    margin = math.log(limit_s(factors) / typical_s)
    return (Pilot("soon-over", margin, spread, scale="log", claim="below"),)


def analyse(run: Run) -> list[Finding]:
    """Whether glibc's look-ups fail, and when it is over, arm by arm."""
    limits_ms = {arm.label: 1e3 * limit_s(arm.factors) for arm in arms(run)}
    return dns_failover.findings(run, HYPOTHESIS, limits_ms, SHARE)


def plot(run: Run) -> Mapping[str, Any]:
    """What became of look-ups, how long the slowest took, and one trial as it went."""
    from testbed.report.dns_failover import figures

    return figures(run)
