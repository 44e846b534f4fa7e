"""`testbed watch`: a lab live, on the terminal or on a page."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import TYPE_CHECKING

from testbed.cli.arguments import add_lab_argument, duration
from testbed.cli.inspect import only_lab
from testbed.cli.output import note, to_yaml
from testbed.errors import UsageError

if TYPE_CHECKING:
    from testbed.live.watcher import Watcher

_LEAST_S = 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_lab_argument(parser, optional=True)
    parser.add_argument(
        "--web", action="store_true", help="serve a page on this machine, behind a token"
    )
    parser.add_argument("--port", type=int, default=0, metavar="P", help="of the page (a free one)")
    parser.add_argument(
        "--period", type=duration, default=1.0, metavar="D", help="from one look to the next (1s)"
    )
    parser.add_argument("--for", type=duration, dest="for_s", metavar="D", help="end after this")
    parser.add_argument(
        "-o",
        "--output",
        choices=("table", "json", "yaml"),
        default="table",
        help="json: a line a look; yaml: a document a look (table)",
    )


def run(args: argparse.Namespace) -> int:
    """Show it until q, Ctrl-C, the end of the lab or of `--for`."""
    if args.period < _LEAST_S:
        raise UsageError(f"--period {args.period:g}s is too short", f"{_LEAST_S:g}s is the least")
    if args.port and not args.web:
        raise UsageError("--port is for --web", "say both")
    if args.web and args.output != "table":
        raise UsageError("--web prints nothing to format", "leave one of --web and -o out")
    if not 0 <= args.port < 65536:
        raise UsageError(f"{args.port} is no port", "0 takes a free one")
    from testbed.lab.client import Lab
    from testbed.live.watcher import Watcher

    name = only_lab(args.lab)
    watcher = Watcher(Lab.attach(name))
    ends_at_s = time.monotonic() + args.for_s if args.for_s is not None else None
    try:
        if not _shown(watcher, args, ends_at_s):
            note(f"lab {name} has ended")
    except KeyboardInterrupt:  # the way to end what has no end of its own
        pass
    return 0


def _shown(watcher: Watcher, args: argparse.Namespace, ends_at_s: float | None) -> bool:
    """False where the lab ended."""
    if args.web:
        from testbed.live.web import serve

        return serve(watcher, args.port, args.period, ends_at_s, note)
    if args.output == "table" and sys.stdout.isatty():
        from testbed.live.terminal import watch_on_terminal

        return watch_on_terminal(watcher, args.period, ends_at_s)
    return _print(watcher, args.output, args.period, ends_at_s)


def _print(watcher: Watcher, form: str, period_s: float, ends_at_s: float | None) -> bool:
    """A look after the other on standard output; False where the lab ended."""
    from testbed.live.lines import glance_lines

    first = True
    while True:
        glance = watcher.glance()
        if glance is None:
            return False
        if form == "json":
            print(json.dumps(glance.to_json(), ensure_ascii=False), flush=True)
        elif form == "yaml":
            print(f"---\n{to_yaml(glance.to_json())}", end="", flush=True)
        else:
            for line in glance_lines(glance, first=first):
                print(line, flush=True)
        first = False
        left_s = period_s if ends_at_s is None else min(period_s, ends_at_s - time.monotonic())
        if left_s <= 0:
            return True
        time.sleep(left_s)
