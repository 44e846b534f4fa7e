"""Arguments that several commands take."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from testbed.errors import UsageError
from testbed.model import shipped
from testbed.units import duration_s


def add_lab_argument(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """The lab's name; where it is optional, the only lab that runs."""
    parser.add_argument("lab", metavar="N", nargs="?" if optional else None, help="a lab that runs")


def add_topology_argument(parser: argparse.ArgumentParser) -> None:
    """A topology's file; one that comes with the package by its name alone."""
    help_ = "a topology's file, or the name of one that comes with the package, such as quickstart"
    parser.add_argument("file", metavar="FILE", type=shipped.found, help=help_)


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


def text_of(path: str) -> str:
    """A text file, or standard input for `-`. Raises UsageError."""
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no text") from None
