"""Arguments that several commands take."""

from __future__ import annotations

import argparse

from testbed.units import duration_s


def add_lab_argument(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """The lab's name; where it is optional, the only lab that runs."""
    parser.add_argument("lab", metavar="N", nargs="?" if optional else None, help="a lab that runs")


def add_set_option(parser: argparse.ArgumentParser) -> None:
    """Add `--set path=value`, as often as wanted."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="settings",
        metavar="PATH=VALUE",
        help="change a value of the topology, as in workloads.web.replicas=5",
    )


def duration(text: str) -> float:
    """argparse's type of a duration, in seconds."""
    try:
        return duration_s(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
