"""`testbed down`: end labs."""

from __future__ import annotations

import argparse

from testbed.cli.output import note
from testbed.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="N", help="labs")
    parser.add_argument("--all", action="store_true", help="all labs of this user")


def run(args: argparse.Namespace) -> int:
    """End them, all that were named at once; 4 where one does not run, nor has left anything."""
    from testbed.lab import docker_remains, registry
    from testbed.lab.ending import end

    if bool(args.names) == args.all:
        raise UsageError("name the labs to end, or say --all", "`testbed ls` lists them")
    running = registry.names()
    names = running if args.all else list(dict.fromkeys(args.names))
    left = docker_remains.find() if args.all or set(names) - set(running) else []
    left = [thing for thing in left if args.all or thing.lab in names]
    of_ended = {thing.lab for thing in left}
    folders = [registry.find(name) for name in names if name in running or name not in of_ended]
    for folder in folders:
        end(folder)
        note(f"lab {folder.name} is down")
    if left:
        docker_remains.remove(left)
        note(f"removed what {', '.join(sorted(of_ended))} had left in Docker: {things(len(left))}")
    return 0


def things(count: int) -> str:
    """In words."""
    return "1 thing" if count == 1 else f"{count} things"
