"""`testbed exec`: run a command on a node, a pod or an outside host."""

from __future__ import annotations

import argparse
import os
import sys

from testbed.cli.arguments import add_lab_argument
from testbed.errors import UsageError

MININET = "mininet"
"""WHERE that takes a line of Mininet's CLI, or what is typed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--host-tools",
        action="store_true",
        help="in a container: this machine's programs in its network, not those of its image",
    )
    add_lab_argument(parser)
    parser.add_argument(
        "where",
        metavar="WHERE",
        help="a node, [namespace/]pod, outside host, router or switch; mininet: Mininet's CLI, in a lab of "
        "runtime mininet",
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- CMD…", help="the command")


def run(args: argparse.Namespace) -> int:
    """Run it on this terminal; its own exit code is the answer."""
    from testbed.lab.client import Lab

    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command and args.where != MININET:
        raise UsageError("no command to run", f"testbed exec {args.lab} {args.where} -- CMD")
    lab = Lab.attach(args.lab)
    if sys.stdin.isatty() and sys.stdout.isatty():
        from testbed.cli.terminal import execute_on_terminal

        return execute_on_terminal(lab, args.where, command, inside=not args.host_tools)
    sys.stdout.flush()
    inside = not args.host_tools
    return lab.execute(args.where, command, (0, 1, 2), dict(os.environ), inside=inside)
