"""What was measured, as pandas frames.

    from testbed import results
    run = results.open("results/failover/20261121T050302Z-1")

`run.trials` has a row per trial, `run.samples` per request, `run.ledger` per backend and client node,
`run.events` per event, `run.summary` per metric and arm, `run.findings` per answer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from testbed.analysis.run import Run, load_run, read_meta
from testbed.errors import UsageError
from testbed.experiment.runs import find_run

RESULTS = Path("results")


def open(run: str | Path, root: str | Path = RESULTS) -> Run:
    """A run by its directory or its name RUN, or an experiment's newest run by the experiment's name.

    Raises NotFound where there is none, UsageError where it is no run or cannot be read.
    """
    path = Path(run)
    if (path / "run.json").is_file():
        return load_run(path)
    newest = sorted((Path(root) / path).glob("*/run.json"), key=lambda file: file.parent.name)
    if newest:
        return load_run(newest[-1].parent)
    return load_run(path if path.is_dir() else find_run(Path(root), str(run)))


def ls(root: str | Path = RESULTS) -> pd.DataFrame:
    """A row per run below `root`, the newest last: experiment, run, profile, mode, status, findings (how
    many), directory. What is there and is no readable run is left out.
    """
    rows: list[dict[str, Any]] = []
    for file in Path(root).glob("*/*/run.json"):
        try:
            meta = read_meta(file)
        except UsageError:
            continue
        rows.append(
            {
                "experiment": meta["experiment"],
                "run": file.parent.name,
                **{name: meta.get(name, "") for name in ("profile", "mode", "status")},
                "findings": len(meta.get("findings", ())),
                "directory": str(file.parent),
            }
        )
    columns = ("experiment", "run", "profile", "mode", "status", "findings", "directory")
    rows.sort(key=lambda row: str(row["run"]))
    return pd.DataFrame(rows, columns=pd.Index(columns))
