"""Trial records for tests: small, and with every column that a real one has."""

from __future__ import annotations

import pandas as pd

from testbed.events import Event
from testbed.experiment.columns import LEDGER, SAMPLES
from testbed.experiment.design import Trial, trial_id
from testbed.experiment.record import TrialRecord


def trial(block: int = 0, arm: int = 0, attempt: int = 0) -> Trial:
    """A trial of a design with the one factor `replicas`."""
    return Trial(trial_id(block, arm, attempt), block, arm, {"replicas": arm + 1}, 1, attempt)


def record(of: Trial, requests: int = 3, invalid: tuple[str, ...] = ()) -> TrialRecord:
    """A record with a row per request; only some columns are filled."""
    samples = pd.DataFrame({"start_ns": range(requests), "outcome": ["ok"] * requests})
    return TrialRecord(
        trial=of,
        started_ns=1_000 * of.block + of.arm,
        ended_ns=1_000 * of.block + of.arm + 500,
        samples=samples.reindex(columns=list(SAMPLES)),
        ledger=pd.DataFrame([dict.fromkeys(LEDGER, 0) | {"backend": "web-0"}]),
        events=(Event(5, "fault", "n1", "crash", "default/web-0", 3, {"uid": "u"}),),
        rules={"n1": ("*nat\nCOMMIT\n",), "n2": ("*nat\nCOMMIT\n",)},
        host={"steal_share": 0.0, "run_delay_share": None},
        kernel={"insert_failed": 0},
        mode="iptables-nft",
        invalid=invalid,
    )
