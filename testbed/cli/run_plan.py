"""What `testbed run --plan` prints: what would be run, how long it takes, and what it can show."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.cli.output import emit, table

if TYPE_CHECKING:
    from testbed.experiment.session import Job


def plan_row(job: Job, kernel: str | None, results: Path) -> dict[str, Any]:
    """The row of one experiment; `kernel` None: none here can run it. `power` has a row per arm and
    primary metric, from the spread in earlier runs beneath `results` where there are any.
    """
    from testbed.analysis.planning import earlier_runs, power_rows
    from testbed.experiment.plan import planned

    earlier = earlier_runs(results, job.experiment.name)
    return planned(job.experiment, job.design, kernel) | {
        "power": power_rows(job.experiment, job.design, earlier, kernel)
    }


def emit_plan(args: argparse.Namespace, rows: Sequence[dict[str, Any]]) -> None:
    """Print the rows; a table has a second one, of what the runs can show."""
    from testbed.analysis.planning import hardest
    from testbed.experiment.progress import clock_text

    emit(
        args,
        rows,
        {
            "EXPERIMENT": lambda row: row["experiment"],
            "FACTORS": lambda row: "; ".join(
                f"{name}={','.join(map(str, values))}" for name, values in row["factors"].items()
            ),
            "ARMS": lambda row: row["arms"],
            "REPEATS": lambda row: row["repeats"],
            "TRIALS": lambda row: row["trials"],
            "KERNEL": lambda row: row["kernel"] or "none here",
            "ABOUT": lambda row: clock_text(row["estimate_s"]),
        },
    )
    shown = [
        {"experiment": row["experiment"], **power}
        for row in rows
        for power in hardest(row["power"])
    ]
    if args.output != "table" or not shown:
        return
    first = shown[0]
    print(
        f"\nTo show it with a power of {first['power']:.0%} at {first['alpha']:.0%}, in the arm that needs "
        "most; one answer alone"
    )
    print(
        table(
            shown,
            {
                "EXPERIMENT": lambda row: row["experiment"],
                "METRIC": lambda row: row["metric"],
                "DIFFERENCE": lambda row: _difference(row, row["difference"]),
                "SPREAD": lambda row: _difference(row, row["spread"]),
                "FROM": lambda row: row["spread_from"],
                "REPEATS NEEDED": lambda row: _needed(row["trials_needed"]),
                "CONNECTIONS": lambda row: (
                    "-" if row["connections_needed"] is None else f"{row['connections_needed']:,}"
                ),
                "ABOUT": lambda row: (
                    "-" if row["needed_s"] is None else clock_text(row["needed_s"])
                ),
                "THESE SHOW": lambda row: _difference(row, row["difference_shown"]),
            },
        )
    )


def _needed(trials: int | None) -> str:
    return "too many" if trials is None else str(trials)


def _difference(row: Mapping[str, Any], value: float | None) -> str:
    """`0.01 s`; on the logarithm a factor, `×1.3`; `nothing` below five trials."""
    if value is None:
        return "nothing"
    if row["scale"] == "log":
        return f"×{math.exp(value):.3g}"
    return f"{value:.3g}" + (f" {row['unit']}" if row["unit"] else "")
