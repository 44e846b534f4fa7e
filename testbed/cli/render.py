"""`testbed render`: a topology with its shorthand expanded to Kubernetes objects."""

from __future__ import annotations

import argparse

from testbed.cli.arguments import add_set_option, add_topology_argument
from testbed.cli.output import add_output_option, emit, to_yaml


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_topology_argument(parser)
    add_set_option(parser)
    add_output_option(parser, default="yaml")


def run(args: argparse.Namespace) -> int:
    """Print YAML documents, a JSON List, or a table of what there is."""
    from testbed.model.loader import load
    from testbed.model.manifest import to_manifest
    from testbed.model.shorthand import expand_allocated

    manifests = [to_manifest(item) for item in expand_allocated(load(args.file, args.settings))]
    if args.output == "yaml":
        print("---\n".join(to_yaml(manifest) for manifest in manifests), end="")
    elif args.output == "json":
        emit(args, {"apiVersion": "v1", "kind": "List", "items": manifests})
    else:
        columns = {
            "KIND": lambda row: row["kind"],
            "NAMESPACE": lambda row: row["metadata"].get("namespace"),
            "NAME": lambda row: row["metadata"]["name"],
        }
        emit(args, manifests, columns)
    return 0
