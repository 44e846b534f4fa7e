"""`testbed trace N FROM TO`: one request hop by hop; predicted beside observed."""

from __future__ import annotations

import argparse
import secrets
import shutil
from typing import Any

from testbed.cli.arguments import duration
from testbed.cli.output import add_output_option, emit, note
from testbed.errors import OutOfTimeOrRoom

DEFAULT_TIMEOUT_S = 3.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("lab", metavar="N", help="a lab that runs")
    parser.add_argument("source", metavar="FROM", help="a node, [namespace/]pod or outside host")
    parser.add_argument(
        "to", metavar="TO", help="a service (web, web:80, web.shop), a URL, or IP:port"
    )
    parser.add_argument("--udp", action="store_true", help="a datagram instead of a connection")
    parser.add_argument(
        "--timeout", type=duration, default=DEFAULT_TIMEOUT_S, metavar="T", help="3s"
    )
    parser.add_argument("-w", "--write", metavar="FILE", help="its packets as a pcapng file, too")
    add_output_option(parser)


def run(args: argparse.Namespace) -> int:
    """0; 1 where the rules foretell something else, or the name has no address."""
    from testbed.cli.trace_text import shown
    from testbed.lab.client import Lab
    from testbed.lab.trace_request import trace

    lab = Lab.attach(args.lab)
    token = secrets.token_hex(4)
    found, capture = trace(lab, args.source, args.to, token, udp=args.udp, timeout_s=args.timeout)
    if args.write:
        try:
            shutil.copyfile(capture, args.write)
        except OSError as error:
            raise OutOfTimeOrRoom(f"cannot write {args.write}: {error.strerror}") from error
        note(f"its packets are in {args.write}")
    if args.output == "table":
        print(shown(found))
    else:
        emit(args, found)
    return _code(found)


def _code(found: dict[str, Any]) -> int:
    for line in found["disagreements"]:
        note(f"disagreement: {line}")
    return 0 if found["agrees"] else 1
