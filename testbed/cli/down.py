"""`testbed down`: end labs."""

from __future__ import annotations

import argparse

from testbed.cli.output import note
from testbed.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="N", help="labs")
    parser.add_argument("--all", action="store_true", help="all labs of this user")


def run(args: argparse.Namespace) -> int:
    """End them, all that were named at once; 4 where one does not run."""
    from testbed.lab import registry
    from testbed.lab.ending import end

    if bool(args.names) == args.all:
        raise UsageError("name the labs to end, or say --all", "`testbed ls` lists them")
    names = registry.names() if args.all else list(dict.fromkeys(args.names))
    folders = [registry.find(name) for name in names]
    for folder in folders:
        end(folder)
        note(f"lab {folder.name} is down")
    return 0
