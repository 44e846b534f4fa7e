"""`testbed rules`: the service rules in a node's kernel now, and how two nodes' rules differ."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from testbed.cli.arguments import text_of
from testbed.cli.output import add_output_option, emit, note
from testbed.errors import UsageError

if TYPE_CHECKING:
    from testbed.trace.difference import Difference


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("lab", metavar="N", nargs="?", help="a lab that runs")
    parser.add_argument("node", metavar="NODE", nargs="?", help="one of its nodes")
    parser.add_argument(
        "--diff",
        action="extend",
        nargs="+",
        metavar="DUMP",
        help="compare with these rules (iptables-save's output, nft's, or this command's); two"
        " dumps are compared with each other, without a lab",
    )
    add_output_option(parser)


def run(args: argparse.Namespace) -> int:
    """Print them as the rule tool's own save command does; with -o {node, rules: that text}.

    With --diff: what differs; 0 where both do the same, else 1.
    """
    if args.diff:
        return _compare(args)
    if not args.node:
        raise UsageError("rules of which node?", "testbed rules LAB NODE")
    text = _rules(args).rstrip("\n")
    if args.output == "table":
        print(text)
    else:
        emit(args, {"node": args.node, "rules": text})
    return 0


def _rules(args: argparse.Namespace) -> str:
    from testbed.lab.client import Lab

    return Lab.attach(args.lab).rules(args.node)


def _compare(args: argparse.Namespace) -> int:
    from testbed.trace.difference import differences

    dumps = list(args.diff)
    if (args.node is None) != (len(dumps) == 2) or len(dumps) > 2:
        raise UsageError(
            "two sets of rules are compared",
            "testbed rules LAB NODE --diff DUMP, or testbed rules --diff DUMP DUMP",
        )
    first = dumps[0] if args.node is None else f"{args.lab} {args.node}"
    here = text_of(dumps[0]) if args.node is None else _rules(args)
    found = differences(here, text_of(dumps[-1]))
    if args.output == "table":
        print(_shown(found, first, dumps[-1]))
    else:
        emit(args, [asdict(one) for one in found])
    count = len(found)
    note("they do the same" if not found else f"{count} chain{'s' if count > 1 else ''} differ")
    return 1 if found else 0


def _shown(found: list[Difference], first: str, second: str) -> str:
    parts = [f"- only in {first}\n+ only in {second}"] if found else []
    for one in found:
        about = f" ({one.service})" if one.service else ""
        lines = [f"{one.table} {one.chain}{about}"]
        lines += [f"  - {line}" for line in one.only_first]
        lines += [f"  + {line}" for line in one.only_second]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)
