"""How long a run of ten million requests takes to become a report, and how much memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.measure import Comparison, Goal, Side
from bench.sandbox import TESTBED
from testbed.experiment.columns import FORMAT_VERSION, SAMPLES

REQUESTS = 10_000_000
BLOCKS = 10
NODES = ("n1", "n2", "n3")
BACKENDS = ("web-0", "web-1", "web-2")
FACTORS: dict[str, list[Any]] = {
    "replicas": [3], "placement": ["every"], "reuse": [1, 20], "rate_rps": [1000.0],
    "duration_s": [500.0],
}  # fmt: skip
LIMIT_S, LIMIT_MB = 60.0, 2_000.0


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one process from its start to its end."""

    seconds: float
    peak_mb: float


def reports(repeats: int) -> Iterator[Comparison]:
    """`testbed report` of a made-up run of `balance`: each value is a share of what is allowed."""
    with TemporaryDirectory(prefix="bench-report-") as folder:
        where = Path(folder) / "run"
        print(f"bench: making {REQUESTS:,} requests up …", file=sys.stderr, flush=True)
        make_up(where, REQUESTS)
        costs = [_cost(TESTBED, "report", str(where)) for _ in range(min(repeats, 3))]
        size_mb = (where / "report.html").stat().st_size / 1e6
    what = f"report of {REQUESTS // 1_000_000} million requests"
    for unit, limit, values, note in (
        ("s", LIMIT_S, [cost.seconds for cost in costs], f"The page has {size_mb:.1f} MB."),
        ("MB", LIMIT_MB, [cost.peak_mb for cost in costs], "Peak resident set."),
    ):
        yield Comparison(
            what,
            unit,
            Side("testbed report", "1 process", tuple(values)),
            Side("limit", "nothing", (limit,)),
            Goal(1.0, at_most=True),
            note=note,
        )


def _cost(*argv: str) -> Cost:
    start = time.monotonic()
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(argv)} ended with {process.returncode}")
    return Cost(time.monotonic() - start, usage.ru_maxrss * 1024 / 1e6)


def make_up(where: Path, requests: int, seed: int = 1) -> None:
    """A run directory as `testbed run balance` leaves it: a fair random balancer, every column filled."""
    from pyarrow import Table, parquet

    where.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    arms = [(block, reuse) for block in range(BLOCKS) for reuse in FACTORS["reuse"]]
    trials, ledger = [], []
    writer: parquet.ParquetWriter | None = None
    for block, reuse in arms:
        trial = f"b{block:02d}-a{FACTORS['reuse'].index(reuse)}"
        samples, counted = _trial(trial, requests // len(arms), int(reuse), rng)
        table = Table.from_pandas(samples, preserve_index=False)
        writer = writer or parquet.ParquetWriter(where / "samples.parquet", table.schema)
        writer.write_table(table)
        ledger.append(counted)
        trials.append(
            {"trial": trial, "block": f"b{block:02d}", "arm": 0, "seed": seed, "replicas": 3,
             "placement": "every", "reuse": reuse, "rate_rps": 1000.0, "duration_s": 500.0,
             "started_ns": 0, "elapsed_s": 500.0, "mode": "iptables-nft", "valid": True,
             "invalid_reason": ""}
        )  # fmt: skip
    if writer is not None:
        writer.close()
    pd.DataFrame(trials).to_csv(where / "trials.csv", index=False)
    pd.concat(ledger).to_csv(where / "ledger.csv", index=False)
    (where / "events.jsonl").write_text("".join(_events([row["trial"] for row in trials])))
    (where / "run.json").write_text(json.dumps(_meta(where.name)))


def _trial(
    trial: str, requests: int, reuse: int, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    start = 1_000_000_000 + np.sort(rng.integers(0, 500_000_000_000, requests))
    node = rng.integers(len(NODES), size=requests)
    connection = np.arange(requests) // reuse
    node = node[connection * reuse]  # a connection stays where it began
    backend = rng.integers(len(BACKENDS), size=int(connection[-1]) + 1)[connection]
    took = rng.gamma(4, 100_000, requests).astype(np.int64)
    web = _texts(BACKENDS, backend)
    columns: dict[str, Any] = {
        "trial": trial, "stream": "main", "protocol": "http",
        "scheduled_ns": start, "start_ns": start + 20_000, "resolved_ns": start + 30_000,
        "connected_ns": start + 200_000, "first_byte_ns": start + took, "end_ns": start + took + 9_000,
        "client": _texts([f"default/client-{name}" for name in NODES], node),
        "client_node": _texts(NODES, node), "src_ip": _texts(["10.244.0.9", "10.244.1.9", "10.244.2.9"], node),
        "src_port": 10_000 + connection % 28_000, "target": "http://web/hostname",
        "picked_backend": web, "picked_ns": start + 90_000, "backend": web,
        "backend_node": _texts(NODES, backend), "connection": connection, "outcome": "ok",
        "status": 200, "bytes": 5, "node_rules_rv": 57,
    }  # fmt: skip
    opened = pd.DataFrame({"client_node": node[::reuse], "backend": backend[::reuse]})
    counts = opened.value_counts().rename("kernel").reset_index()
    return pd.DataFrame(columns)[list(SAMPLES)].astype(SAMPLES), pd.DataFrame(
        {"trial": trial, "client_node": _texts(NODES, counts["client_node"].to_numpy()),
         "backend": _texts(BACKENDS, counts["backend"].to_numpy()), "kernel": counts["kernel"],
         "accepted": counts["kernel"], "backlog": 0, "refused": 0, "unanswered": 0, "censored": 0}
    )  # fmt: skip


def _texts(names: Any, which: NDArray[np.int64]) -> NDArray[np.object_]:
    return np.asarray(names, dtype=object)[which]


def _events(trials: list[str]) -> Iterator[str]:
    """A thousand a trial, as a lab's proxies write them."""
    for trial in trials:
        for number in range(1_000):
            t_ns = number * 500_000_000
            detail = {"ip_family": "IPv4", "start_ns": t_ns, "end_ns": t_ns + 5_000_000, "full": False,
                      "error": ""}  # fmt: skip
            event = {"trial": trial, "t_ns": t_ns, "source": "proxy", "node": NODES[number % 3],
                     "kind": "sync", "object": "", "resource_version": number, "detail": detail}  # fmt: skip
            yield json.dumps(event) + "\n"


def _meta(run: str) -> dict[str, Any]:
    return {
        "format": FORMAT_VERSION, "experiment": "balance", "module": "balance", "run": run, "seed": 1,
        "profile": "default", "factors": FACTORS, "mode": "iptables-nft", "timing": {},
        "status": "complete", "command": "python -m bench report",
        "environment": {"kernel": {"release": "none: made up"}},
    }  # fmt: skip
