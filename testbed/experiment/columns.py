"""The columns of samples.parquet and ledger.csv (DESIGN.md, Results), with their types."""

from __future__ import annotations

FORMAT_VERSION = 1
"""Of a run's directory, in run.json: raised when its files change so that older readers fail."""

SAMPLES: dict[str, str] = {
    "trial": "string",
    "stream": "string",
    "protocol": "string",
    "scheduled_ns": "Int64",
    "start_ns": "Int64",
    "resolved_ns": "Int64",
    "connected_ns": "Int64",
    "first_byte_ns": "Int64",
    "end_ns": "Int64",
    "client": "string",
    "client_node": "string",
    "src_ip": "string",
    "src_port": "Int64",
    "target": "string",
    "picked_backend": "string",
    "picked_ns": "Int64",
    "backend": "string",
    "backend_node": "string",
    "connection": "Int64",
    "outcome": "string",
    "status": "Int64",
    "bytes": "Int64",
    "node_rules_rv": "Int64",
}
"""A row per request. A time that was not reached is null. `stream` is the load's label,
`picked_ns` when the kernel made the connection's entry."""

LEDGER = (
    "trial",
    "client_node",
    "backend",
    "kernel",
    "accepted",
    "backlog",
    "refused",
    "unanswered",
    "censored",
)
"""A row per trial, client node and backend: connections."""

TRIALS = frozenset(
    {
        "trial",
        "block",
        "arm",
        "machine",
        "seed",
        "started_ns",
        "elapsed_s",
        "mode",
        "valid",
        "invalid_reason",
    }
)
"""Columns of trials.csv that no factor may be called."""

SIGNALS = (
    "steal_share",
    "cpu_pressure_share",
    "run_delay_share",
    "softnet_dropped",
    "softnet_squeezed",
    "link_dropped",
    "conntrack_fill_share",
    "control_lag_p99_ms",
    "records_lost",
    "accepts_lost",
    "insert_failed",
    "drop",
    "early_drop",
)
"""Columns of trials.csv that say how far a trial can be trusted: the fidelity meter's, then what the recorder
and the connection tables lost."""
