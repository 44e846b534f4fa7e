"""`testbed report RUN…`: rebuild analysis, figures and the HTML page from stored data."""

from __future__ import annotations

import argparse
from pathlib import Path

from testbed.cli.output import add_output_option, emit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a directory results/EXPERIMENT/RUN")
    add_output_option(parser)


def run(args: argparse.Namespace) -> int:
    """Prints the path of each page. Heavy imports wait until the arguments were right."""
    from testbed.analysis.run import load_run
    from testbed.experiment import module
    from testbed.experiment.record import find_run
    from testbed.report.build import build

    rows = []
    for name in args.runs:
        stored = load_run(find_run(Path("results"), name) if not Path(name).is_dir() else name)
        experiment = module.load(str(stored.meta.get("module") or stored.meta["experiment"]))
        path, findings = build(stored, experiment)
        rows.append(
            {
                "experiment": stored.meta["experiment"],
                "report": str(path),
                "findings": [finding.to_json() for finding in findings],
            }
        )
    if args.output == "table":
        for row in rows:
            print(row["report"])
    else:
        emit(args, rows)
    return 0
