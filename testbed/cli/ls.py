"""`testbed ls`: the labs that run."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta

from testbed.cli.output import add_output_option, emit, note, with_fakes
from testbed.errors import NotFound, OutOfTimeOrRoom
from testbed.model import shipped

_PATIENCE_S = 2.0
"""One lab that is busy must not keep the others from being listed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_output_option(parser)


def run(args: argparse.Namespace) -> int:
    """One row a lab; those that have ended vanish."""
    from testbed.lab import registry
    from testbed.lab.client import Lab

    rows = []
    for name in registry.names():
        try:
            row = Lab.attach(name).describe(_PATIENCE_S)
        except NotFound:  # it ended, or has only just begun
            continue
        except OutOfTimeOrRoom as busy:
            note(str(busy))
            continue
        row.pop("missingImages", None)  # what `up` says
        started = datetime.now(UTC) - timedelta(seconds=row.pop("since_s"))
        rows.append({**row, "since": started.isoformat(timespec="seconds")})
    if args.output == "table" and not rows:
        print("no lab runs; `testbed up FILE` starts one")
    else:
        emit(args, rows, COLUMNS)
    return 0


COLUMNS = {
    "NAME": lambda row: row["name"],
    "TOPOLOGY": lambda row: shipped.spelt(row["topology"]),
    "KERNEL": lambda row: row["kernel"],
    "NODES": lambda row: with_fakes(row["nodes"], row.get("fakeNodes", 0)),
    "PODS": lambda row: with_fakes(row["pods"], row.get("fakePods", 0)),
    "SINCE": lambda row: row["since"],
}
