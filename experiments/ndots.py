"""What a search list costs: queries and time by ndots, name, C library, autopath and a cache on the node."""

from __future__ import annotations

import json
import math
import random
import sys
from collections.abc import Mapping
from itertools import product
from typing import Any

import pandas as pd

from testbed.analysis import ndots
from testbed.analysis.ndots import AUTOPATH, NODE_LOCAL, REQUESTS
from testbed.analysis.run import Finding, Run
from testbed.dns.lookups import COLUMNS
from testbed.errors import TestbedError, UsageError
from testbed.experiment.arrange import require_positive
from testbed.experiment.modes import MODES, with_mode
from testbed.experiment.module import Factors, Profile, Value
from testbed.experiment.names import with_chain, with_node_local
from testbed.experiment.primary import Pilot, Primary
from testbed.experiment.trial_lab import TrialLab
from testbed.model.corefile_text import METRICS_PORT
from testbed.model.node_local import LOCAL
from testbed.model.node_local_corefile import METRICS_PORT as CACHE_METRICS_PORT
from testbed.model.topology import Topology

QUESTION = (
    "What does a name cost by the way it is written: how many queries, and how long, for ndots 1 to 5, with"
    " and without autopath and a cache on the node?"
)
HYPOTHESIS = (
    "Search lists are cheap: with Kubernetes' ndots:5 a name outside the cluster takes glibc at most twice as"
    " long as with a final dot; and every library asks exactly what it is known to ask."
)
REFUTED_IF = "On some path the typical factor is shown to be above 2, or counts to differ from what is known."

FACTORS: dict[str, tuple[Value, ...]] = {
    "path": ndots.PATHS,
    "proxy": ("iptables-nft",),
    "lookups": (20,),
}
"""`path`: pods ask the cluster's servers; with the plug-in autopath in them; or a cache on the node. Each trial
asks in every combination of C library, ndots and name, `lookups` times, one after the other."""
CHOICES = {"proxy": tuple(mode for mode in MODES if mode != "external")}
REPEATS = 10
REQUIRES: frozenset[str] = frozenset()
TIMING = True
PROFILES = {
    "smoke": Profile(repeats=1, factors={"lookups": (4,)}),
}

LIMIT = 2.0
MARGIN = 0.05
"""Queries a look-up; one that is asked again where the first was lost is 2 of them."""
CLIENT = "client-0"
OUTSIDE_ADDRESS = "192.0.2.80"
PATIENCE_S = 120.0
LOOKUP_S = 0.003


def topology(factors: Factors) -> Topology:
    """Two nodes with a DNS pod each and a client; the servers know one name outside the cluster.

    Raises UsageError for a path that is none, or no look-ups.
    """
    require_positive("ndots", factors, "lookups")
    path = str(factors["path"])
    if path not in ndots.PATHS:
        raise UsageError(f"ndots knows no path {path!r}", f"there is {', '.join(ndots.PATHS)}")
    made = Topology.model_validate(
        {
            "name": "ndots",
            "nodes": {"n1": {}, "n2": {}},
            "workloads": {"web": {"port": 8080}, "client": {"node": "n1"}},
            "services": {"web": {"port": 80, "targetPort": 8080}},
        }
    )
    made = with_mode(made, str(factors["proxy"]))
    hosts = {ndots.OUTSIDE: OUTSIDE_ADDRESS}
    made = with_chain(made, autopath=path == AUTOPATH, hosts=hosts)
    return with_node_local(made, on=path == NODE_LOCAL)


def estimate_s(factors: Factors) -> float:
    """How long a trial takes, without its lab."""
    cells = len(ndots.LIBRARIES) * len(ndots.NDOTS) * len(ndots.NAMES)
    return 2.0 + cells * int(factors["lookups"]) * LOOKUP_S


def trial(lab: TrialLab, factors: Factors, seed: int) -> None:
    """Every combination in a random order; the servers' counters are read between any two."""
    lab.subject()
    view = lab.inspect()
    servers = [pod["ip"] for pod in view["pods"] if pod["name"].startswith("coredns-")]
    counted = [[ip, METRICS_PORT] for ip in servers]
    if factors["path"] == NODE_LOCAL:
        counted.append([LOCAL[4], CACHE_METRICS_PORT])
    batches = [
        {"library": library, "ndots": each, "name": name, "lookups": int(factors["lookups"])}
        for library, each, name in product(ndots.LIBRARIES, ndots.NDOTS, ndots.NAMES)
    ]
    random.Random(seed).shuffle(batches)
    jobs = {"batches": batches, "counters": {"servers": counted, "metrics": REQUESTS}}
    argv = [sys.executable, "-m", "testbed.dns.lookups", json.dumps(jobs)]
    done = lab.exec(CLIENT, argv, timeout_s=PATIENCE_S)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise TestbedError(f"the look-ups in {CLIENT} ended with {done.returncode}: {last}")
    found = json.loads(done.stdout)["batches"]
    lab.note(ndots.NOTE, cells=[_cell(batch, servers) for batch in found])


def _cell(batch: Mapping[str, Any], servers: list[str]) -> dict[str, Any]:
    """What a batch came to: queries counted by the cluster's servers, and by whoever the client asks."""
    by_server = {host: sum(rose.values()) for host, rose in batch["counted"].items()}
    at_cluster = sum(by_server[host] for host in servers)
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in batch["rows"]]
    return {
        "library": batch["library"],
        "ndots": batch["ndots"],
        "name": batch["name"],
        "asked": by_server.get(LOCAL[4], at_cluster),
        "at_cluster": at_cluster,
        "took_ns": [row["took_ns"] for row in rows],
        "failed": sum(row["outcome"] != "ok" for row in rows),
    }


def measure(run: Run) -> pd.DataFrame:
    """Queries and times of the names that matter most, for trials.csv."""
    return ndots.metrics(run)


def primary(run: Run) -> list[Primary]:
    """By what a search list is slower."""
    return ndots.primaries(run)


def pilot(factors: Factors) -> tuple[Pilot, ...]:
    """As in runs on two CPUs: four rounds instead of one, or one where somebody else searches."""
    rounds = 1 if factors["path"] == AUTOPATH else 4
    margin = abs(math.log(LIMIT / rounds))
    return (Pilot("search-is-cheap", margin, 0.25, scale="log", claim="below"),)


def analyse(run: Run) -> list[Finding]:
    """Whether the search list is cheap, and queries as predicted, path by path."""
    return ndots.findings(run, HYPOTHESIS, LIMIT, MARGIN)


def plot(run: Run) -> Mapping[str, Any]:
    """Queries of every combination, times by ndots, and who answers."""
    from testbed.report.ndots import figures

    return figures(run, LIMIT)
