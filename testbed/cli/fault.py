"""`testbed fault`: make something go wrong on purpose, or heal it."""

from __future__ import annotations

import argparse

from testbed.cli.arguments import add_lab_argument
from testbed.cli.output import add_output_option, emit
from testbed.events import Event

_WITH_VALUES = (
    "grace_period",
    "container",
    "delay",
    "jitter",
    "reorder",
    "seed",
    "loss",
    "rate",
    "queue",
    "direction",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_lab_argument(parser)
    parser.add_argument(
        "kind",
        metavar="KIND",
        help="of a pod: crash, delete, hang, heal; of a node: stop-node, drain, delay-watch,"
        " stall-proxy, restart-proxy, heal; of links: cut, impair, partition, heal",
    )
    parser.add_argument(
        "where",
        metavar="WHERE",
        nargs="+",
        help="a pod (web-0, namespace/pod) or a node; of links: a link's name, a machine (all of"
        " its links) or two machines; of a partition: groups, as in n1,n2 n3; heal partition ends it",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="delete: without a grace period; drain: pods that nobody replaces, too",
    )
    parser.add_argument(
        "--grace-period", metavar="D", help="delete, drain: instead of the pod's own"
    )
    parser.add_argument("--container", metavar="NAME", help="not the pod's first one")
    parser.add_argument(
        "--delay", metavar="D", help="delay-watch: how late changes reach the node; impair: packets"
    )
    parser.add_argument(
        "--jitter", metavar="D", help="delay-watch, impair: give or take up to this"
    )
    parser.add_argument(
        "--reorder", metavar="SHARE", help="delay-watch: so many overtake, as in 5%%"
    )
    parser.add_argument("--seed", metavar="N", help="delay-watch: of jitter and reorder (0)")
    parser.add_argument("--loss", metavar="SHARE", help="impair: of the packets, as in 1%%")
    parser.add_argument("--rate", metavar="R", help="impair: no more than this, as in 100mbit")
    parser.add_argument(
        "--queue", metavar="N", help="impair: packets that wait for the rate (1000)"
    )
    parser.add_argument(
        "--direction",
        metavar="WAY",
        help="impair: both, out (what leaves the first one named) or in (what comes to it)",
    )
    add_output_option(parser)


def run(args: argparse.Namespace) -> int:
    """Do it, and say when it was effective."""
    from testbed.faults.fault import parse_fault
    from testbed.lab.client import Lab

    words = [args.kind, *args.where, *(["--force"] if args.force else [])]
    for name in _WITH_VALUES:
        value = getattr(args, name)
        if value is not None:
            words += [f"--{name.replace('_', '-')}", value]
    kind, where, options = parse_fault(words)
    event = Lab.attach(args.lab).fault(kind, *where, **options)
    if args.output == "table":
        on = "" if event.node in {"", event.object} else f" on {event.node}"
        print(f"{event.kind} of {event.object}{on}{_more(event)}, effective at {event.t_ns} ns")
    else:
        emit(args, event.to_json())
    return 0


def _more(event: Event) -> str:
    """What the words of the command do not say: which links, which pods, what is over."""
    detail = event.detail
    names = [
        *detail.get("healed", ()),
        *(name for name in detail.get("links", ()) if name != event.object),
        *(row["pod"] for row in detail.get("pods", ())),
    ]
    return f" ({', '.join(names)})" if names else ""
