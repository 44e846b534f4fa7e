"""`testbed check`: validate a topology."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING

from testbed.cli.arguments import add_set_option, add_topology_argument
from testbed.cli.output import add_output_option, emit, note, with_fakes
from testbed.errors import Problem, TopologyError

if TYPE_CHECKING:
    from testbed.model.topology import Topology


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_topology_argument(parser)
    add_set_option(parser)
    add_output_option(parser)


def run(args: argparse.Namespace) -> int:
    """Print the mistakes, or that there are none; 2 where there are some."""
    from testbed.edge.ingress_foreseen import foreseen
    from testbed.edge.pending import pending
    from testbed.lab.checks import checks
    from testbed.model.loader import load
    from testbed.model.sizes import sizes_of
    from testbed.model.support import idle

    try:
        topology = load(args.file, args.settings, checks)
    except TopologyError as error:
        if args.output == "table":
            note("\n".join(map(str, error.problems)))
        else:
            emit(args, [dataclasses.asdict(problem) for problem in error.problems])
        note(f"testbed: {args.file}: {counted(len(error.problems), 'problem')}")
        return error.exit_code
    if args.output == "table":
        sizes = sizes_of(topology)
        counts = (
            with_fakes(sizes.nodes, sizes.fake_nodes, "node"),
            with_fakes(sizes.pods, sizes.fake_pods, "pod"),
            counted(sizes.services, "service"),
        )
        print(f"{args.file}: valid: {', '.join(counts)}")
        if said := _plugins_missing(topology):
            note(f"{args.file}: {said}: `testbed up` will refuse it on this host")
        if said := idle(topology):
            note(f"{args.file}: {said}")
        for said in (*pending(topology), *foreseen(topology)):
            note(f"{args.file}: {said}")
    else:
        emit(args, list[Problem]())
    return 0


def _plugins_missing(topology: Topology) -> str:
    """Which CNI plug-ins this host lacks, and the remedy; "" where it has all."""
    from testbed.cni.plugins import find
    from testbed.errors import MissingFeature
    from testbed.model.conflist import network_list, types_of

    cni = topology.network.cni
    if cni.conflist is None:
        return ""
    try:
        find(types_of(network_list(cni.conflist).plugins), cni.path)
    except MissingFeature as missing:
        return str(missing)
    return ""


def counted(number: int, noun: str) -> str:
    """`1 node`, `3 nodes`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
