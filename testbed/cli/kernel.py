"""`testbed kernel`: guest kernels, and which proxy modes each kernel has."""

from __future__ import annotations

import argparse
import os

from testbed.cli.output import add_output_option, emit, note


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = commands.add_parser("ls", help="the kernels of this host, and the modes of each")
    add_output_option(listing)
    commands.add_parser("build", help="build the guest kernel that has every mode")


def run(args: argparse.Namespace) -> int:
    """ls: a row a kernel. build: minutes; the result is preferred from then on."""
    return _build() if args.action == "build" else _list(args)


def _list(args: argparse.Namespace) -> int:
    from testbed.kernel.guests import PACKAGED, REMEDIES
    from testbed.lab.kernels import kernels

    rows = [kernel.to_json() for kernel in kernels(note)]
    emit(args, rows, COLUMNS)
    missing = REMEDIES.keys() - {row["name"] for row in rows}
    for name in sorted(missing, key=(PACKAGED,).__contains__, reverse=True):
        note(f"no {name} guest kernel: {REMEDIES[name]}")
    return 0


COLUMNS = {
    "NAME": lambda row: row["name"],
    "RELEASE": lambda row: row["release"],
    "MODES": lambda row: ", ".join(row["modes"]),
    "FILE": lambda row: row["file"] or "-",
}


def _build() -> int:
    from testbed.lab.kernels import modes
    from testbed.sandbox.guest_build import build
    from testbed.sandbox.guest_features import features_of

    os.nice(5)
    kernel = build(note)
    note(f"{kernel.binary}: {kernel.release} has {', '.join(modes(features_of(kernel, note)))}")
    return 0
