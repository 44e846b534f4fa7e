"""`testbed rules`: the service rules in a node's kernel now."""

from __future__ import annotations

import argparse

from testbed.cli.arguments import add_lab_argument
from testbed.cli.output import add_output_option, emit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_lab_argument(parser)
    parser.add_argument("node", metavar="NODE", help="one of its nodes")
    add_output_option(parser)


def run(args: argparse.Namespace) -> int:
    """Print them as the rule tool's own save command does; with -o {node, rules: that text}."""
    from testbed.lab.client import Lab

    text = Lab.attach(args.lab).rules(args.node).rstrip("\n")
    if args.output == "table":
        print(text)
    else:
        emit(args, {"node": args.node, "rules": text})
    return 0
