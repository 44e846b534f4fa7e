"""`testbed trace N FROM TO`: one request hop by hop; with --rules: what a real node's rules foretell."""

from __future__ import annotations

import argparse
import secrets
import shutil
from typing import Any

from testbed.cli.arguments import duration, text_of
from testbed.cli.output import add_output_option, emit, note
from testbed.errors import OutOfTimeOrRoom, UsageError

DEFAULT_TIMEOUT_S = 3.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("lab", metavar="N", nargs="?", help="a lab that runs")
    parser.add_argument(
        "source", metavar="FROM", nargs="?", help="a node, [namespace/]pod or outside host"
    )
    parser.add_argument(
        "to", metavar="TO", nargs="?", help="a service (web, web:80, web.shop), a URL, or IP:port"
    )
    parser.add_argument("--udp", action="store_true", help="a datagram instead of a connection")
    parser.add_argument(
        "--timeout", type=duration, default=DEFAULT_TIMEOUT_S, metavar="T", help="3s"
    )
    parser.add_argument("-w", "--write", metavar="FILE", help="its packets as a pcapng file, too")
    offline = parser.add_argument_group("without a lab, through a real node's rules")
    offline.add_argument(
        "--rules",
        metavar="DUMP",
        help="iptables-save's output, or `nft list ruleset`'s; - is stdin",
    )
    offline.add_argument("--from", dest="src", metavar="IP", help="who dials")
    offline.add_argument("--to", dest="dst", metavar="IP:PORT", help="what is dialled")
    offline.add_argument(
        "--node-ip",
        action="append",
        default=[],
        metavar="IP",
        help="an address of the node itself; as often as it has some",
    )
    offline.add_argument("-i", "--in-interface", default="", metavar="IF", help="it comes in by")
    offline.add_argument("--out-interface", default="", metavar="IF", help="it leaves by")
    add_output_option(parser)


def run(args: argparse.Namespace) -> int:
    """0; 1 where the rules foretell something else, the name has no address, or rules are not understood."""
    if args.rules is not None:
        return _offline(args)
    if args.src or args.dst or args.node_ip or not args.to:
        raise UsageError(
            "trace what?", "testbed trace LAB FROM TO, or --rules DUMP --from IP --to IP:PORT"
        )
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


def _offline(args: argparse.Namespace) -> int:
    from testbed.cli.trace_text import shown_offline
    from testbed.trace.dump import tracer_of
    from testbed.trace.offline import account, packet_of

    if args.lab or not (args.src and args.dst):
        raise UsageError(
            "--rules needs no lab, but --from and --to",
            "testbed trace --rules DUMP --from 10.244.1.2 --to 10.96.0.3:80",
        )
    packet = packet_of(args.src, args.dst, "udp" if args.udp else "tcp")
    family = 6 if ":" in packet.src else 4
    interfaces = (args.in_interface, args.out_interface)
    tracer = tracer_of(text_of(args.rules), args.node_ip, family, *interfaces)
    found = account(tracer, packet, args.node_ip)
    if args.output == "table":
        print(shown_offline(found))
    else:
        emit(args, found)
    return 1 if found["not_understood"] else 0


def _code(found: dict[str, Any]) -> int:
    for line in found["disagreements"]:
        note(f"disagreement: {line}")
    return 1 if found["disagreements"] or found["outcome"]["result"] == "dns_error" else 0
