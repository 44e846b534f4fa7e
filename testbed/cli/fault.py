"""`testbed fault`: make something go wrong on purpose, or heal it."""

from __future__ import annotations

import argparse

from testbed.cli.arguments import add_lab_argument
from testbed.cli.output import add_output_option, emit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_lab_argument(parser)
    parser.add_argument("kind", metavar="KIND", help="crash, delete, hang or heal")
    parser.add_argument("where", metavar="WHERE", help="a pod: web-0, or namespace/pod")
    parser.add_argument("--force", action="store_true", help="delete: without a grace period")
    parser.add_argument("--grace-period", metavar="D", help="delete: instead of the pod's own")
    parser.add_argument("--container", metavar="NAME", help="not the pod's first one")
    add_output_option(parser)


def run(args: argparse.Namespace) -> int:
    """Do it, and say when it was effective."""
    from testbed.faults.fault import parse_fault
    from testbed.lab.client import Lab

    words = [args.kind, args.where, *(["--force"] if args.force else [])]
    words += ["--grace-period", args.grace_period] if args.grace_period else []
    words += ["--container", args.container] if args.container else []
    fault = parse_fault(words)
    event = Lab.attach(args.lab).fault(
        fault.kind,
        fault.where,
        force=fault.force,
        grace_s=fault.grace_s,
        container=fault.container,
    )
    if args.output == "table":
        print(f"{event.kind} of {event.object} on {event.node}, effective at {event.t_ns} ns")
    else:
        emit(args, event.to_json())
    return 0
