"""`testbed report RUN…`: rebuild analysis, figures and the HTML page from stored data."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.cli.output import add_output_option, emit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.report.chapter import Outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="a directory results/EXPERIMENT/RUN, or RUN alone"
    )
    parser.add_argument(
        "-w",
        "--write",
        type=Path,
        metavar="FILE",
        help="where the page of several runs goes (report.html in the folder that they share)",
    )
    add_output_option(parser)


def run(args: argparse.Namespace) -> int:
    """Prints the path of each page, last that of them all. Heavy imports wait until the arguments were
    right.
    """
    from testbed.analysis.run import load_run
    from testbed.experiment import module
    from testbed.experiment.runs import find_run
    from testbed.report.build import analysed, json_safe, write

    folders = [
        Path(name) if Path(name).is_dir() else find_run(Path("results"), name) for name in args.runs
    ]
    outcomes: list[Outcome] = []
    rows = []
    for folder in dict.fromkeys(folders):  # a run named twice is one run
        stored = load_run(folder)
        experiment = module.load(str(stored.meta.get("module") or stored.meta["experiment"]))
        outcome = analysed(stored, experiment)
        outcomes.append(outcome)
        rows.append(
            {
                "experiment": stored.meta["experiment"],
                "report": str(write([outcome], folder / "report.html")),
                "findings": [json_safe(finding.to_json()) for finding in outcome.findings],
            }
        )
    joint = args.write or _shared(list(dict.fromkeys(folders)))
    together = write(outcomes, joint) if len(outcomes) > 1 or args.write else None
    if args.output != "table":
        emit(args, [{**row, "together": together and str(together)} for row in rows])
        return 0
    for row in rows:
        print(row["report"])
    if together:
        print(together)
    return 0


def _shared(folders: Sequence[Path]) -> Path:
    """The page of several runs: in the nearest folder that holds them all."""
    return Path(os.path.commonpath([folder.resolve() for folder in folders])) / "report.html"
