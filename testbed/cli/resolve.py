"""`testbed resolve N WHERE NAME`: what a pod, node or outside host resolves a name to, every query shown."""

from __future__ import annotations

import argparse
from typing import Any

from testbed.cli.arguments import add_lab_argument
from testbed.cli.output import add_output_option, emit, note, table
from testbed.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_lab_argument(parser)
    parser.add_argument(
        "pod", metavar="WHERE", nargs="?", help="[namespace/]pod, node or outside host that asks"
    )
    parser.add_argument(
        "name",
        metavar="NAME",
        help="what it asks for; with a final dot as is; an address with --type PTR",
    )
    parser.add_argument("--from", dest="source", metavar="WHERE", help="who asks, as in load")
    parser.add_argument(
        "--type", default="", metavar="TYPE", help="of records: SRV, PTR, TXT, … (A and AAAA)"
    )
    add_output_option(parser)


def run(args: argparse.Namespace) -> int:
    """0 where the name has an address, else 1. Raises UsageError where nobody is to ask, or what no packet
    can carry."""
    from testbed.dns.client import sendable, type_asked_for
    from testbed.lab.client import Lab

    if bool(args.pod) == bool(args.source):
        raise UsageError("who asks?", "testbed resolve LAB WHERE NAME")
    where = args.pod or args.source
    sendable(args.name)
    if args.type:
        type_asked_for(args.type)
    resolution = Lab.attach(args.lab).resolve(where, args.name, args.type)
    if args.output == "table":
        print(shown(resolution))
    else:
        emit(args, resolution)
    if is_resolved(resolution, args.type):
        return 0
    what = f"{args.type.upper()} record" if args.type else "address"
    note(f"{args.name} has no {what} for {where}.")
    if asked_itself(resolution):
        note(f"{where} has no name server but itself; dns.outside gives it one (docs/outside.md).")
    return 1


def asked_itself(resolution: dict[str, Any]) -> bool:
    """What a C library does that is told of no name server, in vain."""
    asked = {(query["server"], query["rcode"]) for query in resolution["queries"]}
    return asked == {("127.0.0.1", "UNREACHABLE")}


def is_resolved(resolution: dict[str, Any], rtype: str = "") -> bool:
    """Whether there is what was asked for among the answers: a CNAME alone is no address."""
    wanted = (rtype.upper(),) if rtype else ("A", "AAAA")
    return any(answer["type"] in wanted for answer in resolution["answers"])


def shown(resolution: dict[str, Any]) -> str:
    """Every query in the order of asking, then the answers."""
    parts = [table(resolution["queries"], QUERIES)] if resolution["queries"] else []
    parts += [table(resolution["answers"], ANSWERS)] if resolution["answers"] else []
    return "\n\n".join(parts)


QUERIES = {
    "QUERY": lambda row: row["name"],
    "TYPE": lambda row: row["type"],
    "RCODE": lambda row: row["rcode"],
    "SERVER": lambda row: row["server"],
    "MS": lambda row: f"{row['ms']:.2f}",
}

ANSWERS = {
    "ANSWER": lambda row: row["name"],
    "TYPE": lambda row: row["type"],
    "TTL": lambda row: row["ttl"],
    "DATA": lambda row: row["data"],
}
