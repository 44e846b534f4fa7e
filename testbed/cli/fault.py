"""`testbed fault`: make something go wrong on purpose, or heal it."""

from __future__ import annotations

import argparse

from testbed.cli.arguments import add_lab_argument
from testbed.cli.output import add_output_option, emit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_lab_argument(parser)
    parser.add_argument(
        "kind",
        metavar="KIND",
        help="of a pod: crash, delete, hang, heal; of a node: stop-node, delay-watch, stall-proxy,"
        " restart-proxy, heal",
    )
    parser.add_argument("where", metavar="WHERE", help="a pod (web-0, namespace/pod) or a node")
    parser.add_argument("--force", action="store_true", help="delete: without a grace period")
    parser.add_argument("--grace-period", metavar="D", help="delete: instead of the pod's own")
    parser.add_argument("--container", metavar="NAME", help="not the pod's first one")
    parser.add_argument("--delay", metavar="D", help="delay-watch: how late changes reach the node")
    parser.add_argument("--jitter", metavar="D", help="delay-watch: give or take up to this")
    parser.add_argument(
        "--reorder", metavar="SHARE", help="delay-watch: so many overtake, as in 5%%"
    )
    parser.add_argument("--seed", metavar="N", help="delay-watch: of jitter and reorder (0)")
    add_output_option(parser)


def run(args: argparse.Namespace) -> int:
    """Do it, and say when it was effective."""
    from testbed.faults.fault import parse_fault
    from testbed.lab.client import Lab

    words = [args.kind, args.where, *(["--force"] if args.force else [])]
    for name in ("grace_period", "container", "delay", "jitter", "reorder", "seed"):
        value = getattr(args, name)
        if value is not None:
            words += [f"--{name.replace('_', '-')}", value]
    kind, where, options = parse_fault(words)
    event = Lab.attach(args.lab).fault(kind, where, **options)
    if args.output == "table":
        on = "" if event.object == event.node else f" on {event.node}"
        print(f"{event.kind} of {event.object}{on}, effective at {event.t_ns} ns")
    else:
        emit(args, event.to_json())
    return 0
