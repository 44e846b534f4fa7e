"""`testbed up`: bring a lab to what a topology says."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from testbed.cli.arguments import add_set_option, add_topology_argument, duration
from testbed.cli.output import note, with_fakes
from testbed.errors import UsageError
from testbed.units import pretty_s


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_topology_argument(parser)
    parser.add_argument("--name", metavar="N", help="the lab's name (the topology's)")
    add_set_option(parser)
    parser.add_argument(
        "--timeout",
        type=duration,
        default=60.0,
        metavar="D",
        help="give up when it is not ready by then (60s)",
    )


def run(args: argparse.Namespace) -> int:
    """Bring it up, with progress; 5 where it is not ready in time."""
    from testbed.clock import now_s
    from testbed.lab.client import Lab
    from testbed.model.support import idle
    from testbed.model.topology import Topology

    if args.timeout <= 0:
        raise UsageError("--timeout leaves no time at all", "as in --timeout 60s")
    started_s = now_s()
    progress = Progress()
    try:
        lab = Lab.up(
            args.file,
            name=args.name,
            settings=args.settings,
            timeout_s=args.timeout,
            on_progress=progress,
        )
    finally:
        progress.close()
    if said := idle(Topology.model_validate(lab.topology())):
        note(said)
    about = lab.describe()
    for image, why in about.get("missingImages", {}).items():
        note(f"a stand-in runs for {image}: {why}")
    nodes = with_fakes(about["nodes"], about["fakeNodes"], "node")
    pods = with_fakes(about["pods"], about["fakePods"], "pod")
    which = "other pod" if about["fakePods"] else "pod"
    note(
        f"lab {lab.name} is up: {nodes}, {pods}, "
        f"every {which} answers a packet ({pretty_s(now_s() - started_s)})"
    )
    return 0


class Progress:
    """What is still missing: one line that is overwritten on a terminal, new lines elsewhere."""

    def __init__(self) -> None:
        self._shown = ""
        self._terminal = sys.stderr.isatty()

    def __call__(self, text: Any) -> None:
        line = str(text).split(", waiting for")[0]
        if line == self._shown:
            return
        self._shown = line
        if self._terminal:
            sys.stderr.write(f"\r\033[K{line}")
            sys.stderr.flush()
        elif "pods ready" not in line:
            note(line)

    def close(self) -> None:
        """Take the line off the terminal."""
        if self._terminal and self._shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
