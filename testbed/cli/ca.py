"""`testbed ca N`: the certificate of a lab's own authority, which clients verify its certificates by."""

from __future__ import annotations

import argparse

from testbed.cli.arguments import add_lab_argument
from testbed.cli.output import add_output_option, emit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_lab_argument(parser)
    add_output_option(parser)


def run(args: argparse.Namespace) -> int:
    """Print it in PEM; with -o {certificate: that text}."""
    from testbed.lab.client import Lab

    text = Lab.attach(args.lab).ca_certificate()
    if args.output == "table":
        print(text, end="")
    else:
        emit(args, {"certificate": text})
    return 0
