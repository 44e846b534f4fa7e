"""`testbed compare A B`: two runs, with the differences that are real; and a gate on them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.cli.output import add_output_option, emit, note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.analysis.gate import Judged
    from testbed.analysis.run import Run

EXIT_WORSE = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", metavar="A", help="a directory results/EXPERIMENT/RUN, or RUN alone")
    parser.add_argument("b", metavar="B", help="the run that is compared with it")
    parser.add_argument(
        "--across", action="store_true", help="also runs of different kernels, profiles or timings"
    )
    parser.add_argument(
        "--fail-worse",
        action="append",
        default=[],
        metavar="MARGIN",
        help="end with 1 when B is shown to be worse by more: 5%% (of A, any metric), "
        "recover_ms=200, cv=10%%",
    )
    parser.add_argument("--all", action="store_true", help="every metric, not only what differs")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="a test case per metric, as XML")
    parser.add_argument("-w", "--write", type=Path, metavar="FILE", help="also as an HTML page")
    add_output_option(parser)


def run(args: argparse.Namespace) -> int:
    """1 when the gate finds something worse, 2 for runs that cannot be compared."""
    from testbed.analysis.compare import compare
    from testbed.analysis.gate import judged, margins
    from testbed.report.build import json_safe
    from testbed.report.differences import Compared, sentence, write_comparison
    from testbed.report.junit import of_comparison, xml
    from testbed.report.written import written

    accepted = margins(args.fail_worse)
    a, b = _run(args.a), _run(args.b)
    found = compare(a, b, across=args.across)
    rows = judged(found.rows, accepted)
    compared = Compared(a, b, found, rows)
    if args.junit:
        text = xml(of_comparison(str(b.meta["experiment"]), rows))
        written(args.junit, lambda path: path.write_text(text, encoding="utf-8"))
    if args.write:
        written(args.write, lambda path: write_comparison(compared, path))
    if args.output == "table":
        _print(args, rows)
    else:
        answer = found.to_json()
        answer["rows"] = [
            row | one.to_json() for row, one in zip(answer["rows"], rows, strict=True)
        ]
        emit(args, json_safe(answer))
    note(sentence(compared) + (f" {args.write}" if args.write else ""))
    return EXIT_WORSE if any(one.verdict == "worse" for one in rows) else 0


def _run(name: str) -> Run:
    from testbed.analysis.run import load_run
    from testbed.experiment.runs import find_run

    return load_run(Path(name) if Path(name).is_dir() else find_run(Path("results"), name))


def _print(args: argparse.Namespace, rows: Sequence[Judged]) -> None:
    from testbed.cli.output import align
    from testbed.report.differences import table, varied_in

    shown = [
        one for one in rows if args.all or one.row.real or one.verdict in {"worse", "undecided"}
    ]
    if not shown:
        return
    found = table("", shown, varied_in(one.row for one in rows))
    print(align([[name.upper() for name in found.columns], *found.rows]))
