"""`testbed import DUMP`: a real cluster's services, nodes and pods as a topology with stand-in pods."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from testbed.cli.arguments import text_of
from testbed.cli.output import note, to_yaml
from testbed.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files",
        nargs="+",
        metavar="DUMP",
        help="what `kubectl get nodes,pods,services,endpointslices -A -o yaml` (or json) printed; "
        "-: standard input",
    )
    parser.add_argument("--name", default="imported", metavar="N", help="the topology's (imported)")
    parser.add_argument("-w", "--write", type=Path, metavar="FILE", help="where to (stdout)")


def run(args: argparse.Namespace) -> int:
    """Print or write the topology; what it could not take over goes to stderr."""
    from testbed.model.cluster_dump import objects_of, topology_of
    from testbed.model.loader import load_text

    documents = [one for path in args.files for one in _documents(path)]
    topology, notes = topology_of(objects_of(documents), args.name)
    comments = [f"# Imported from {', '.join(args.files)}.", *(f"# - {line}" for line in notes)]
    text = "\n".join(comments) + "\n" + to_yaml(topology)
    load_text(text, str(args.write or "the topology"))
    for line in notes:
        note(line)
    if args.write is None:
        print(text, end="")
        return 0
    from testbed.experiment.record import write_atomically
    from testbed.report.written import written

    written(args.write, lambda path: write_atomically(path, lambda draft: draft.write_text(text)))
    note(f"{args.write}: {len(topology['nodes'])} nodes, {len(topology['manifests'])} objects")
    return 0


def _documents(path: str) -> list[Any]:
    """JSON, or any number of YAML documents. Raises UsageError for neither."""
    text = text_of(path)
    if text.lstrip().startswith("{"):
        try:
            return [json.loads(text)]
        except ValueError as error:
            raise UsageError(f"{path} is not JSON: {error}") from None
    import yaml  # libyaml reads a thousand pods in a second

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return list(yaml.load_all(text, Loader=loader))
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not YAML: {str(error).splitlines()[0]}") from None
