"""`testbed import FILE`: what others have written down as a topology: a real cluster's services, nodes and pods
with stand-in pods, or a containerlab file's machines and links.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.cli.arguments import text_of
from testbed.cli.output import note, to_yaml
from testbed.errors import TopologyError, UsageError
from testbed.spelling import did_you_mean

if TYPE_CHECKING:
    from testbed.model.clab_nodes import Role


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="what `kubectl get nodes,pods,services,endpointslices -A -o yaml` (or json) printed, or "
        "one containerlab file; -: standard input",
    )
    parser.add_argument(
        "--name", metavar="N", help="the topology's (the containerlab file's own, or imported)"
    )
    parser.add_argument(
        "--role",
        action="append",
        default=[],
        metavar="NAME=ROLE",
        help="of containerlab's nodes whose names fit, as in 'client*=host': node, host, router, "
        "switch or none",
    )
    parser.add_argument("-w", "--write", type=Path, metavar="FILE", help="where to (stdout)")


def run(args: argparse.Namespace) -> int:
    """Print or write the topology; what it could not take over goes to stderr."""
    from testbed.model.clab_checks import is_clab
    from testbed.model.loader import load_text

    texts = {path: text_of(path) for path in args.files}
    documents = {path: _documents(path, text) for path, text in texts.items()}
    clabs = [path for path, found in documents.items() if any(map(is_clab, found))]
    if clabs and len(args.files) > 1:
        raise UsageError(f"{clabs[0]} is a containerlab file", "import it by itself")
    if args.role and not clabs:
        raise UsageError("--role is for the nodes of a containerlab file", "leave it out")
    if clabs:
        topology, notes = _clab(clabs[0], texts[clabs[0]], args)
    else:
        from testbed.model.cluster_dump import objects_of, topology_of

        found = objects_of([one for several in documents.values() for one in several])
        topology, notes = topology_of(found, args.name or "imported")
    comments = [f"# Imported from {', '.join(args.files)}.", *(f"# - {line}" for line in notes)]
    text = "\n".join(comments) + "\n" + to_yaml(topology)
    load_text(text, str(args.write or "the topology"))
    for line in notes:
        note(line)
    if args.write is None:
        print(text, end="")
        return 0
    from testbed.experiment.atomic import write_atomically
    from testbed.report.written import written

    written(args.write, lambda path: write_atomically(path, lambda draft: draft.write_text(text)))
    note(f"{args.write}: {', '.join(_numbers(topology))}")
    return 0


def _numbers(topology: dict[str, Any]) -> Iterator[str]:
    """What is in a topology, in words."""
    words = {"manifests": "objects"}
    for key in ("nodes", "hosts", "routers", "links", "manifests"):
        if key in topology:
            number, noun = len(topology[key]), words.get(key, key)
            yield f"{number} {noun[:-1] if number == 1 else noun}"


def _clab(path: str, text: str, args: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """The topology of a containerlab file, and a line for each thing that a lab does not have."""
    from testbed.model.clab_topology import ClabError, topology_of
    from testbed.model.clab_variables import expanded
    from testbed.model.document import NotYAMLError, documents

    try:
        (document,) = documents(expanded(text, os.environ), path)
    except NotYAMLError as error:
        raise TopologyError((error.problem,)) from None
    if document.problems:
        raise TopologyError(document.problems)
    places = document.positions
    roles = _roles(args.role)
    try:
        imported = topology_of(document.value, args.name or "", roles)
    except ClabError as error:
        raise TopologyError(tuple(map(places.problem, error.mistakes))) from None
    _each_fits(roles, document.value["topology"]["nodes"])
    lines = [
        f"{path}:{places.find(where, at_key=not isinstance(where[-1], int)).line}: {said}"
        for where, said in imported.notes
    ]
    return imported.topology, lines


def _roles(texts: Iterable[str]) -> tuple[tuple[str, Role], ...]:
    """`NAME=ROLE` of the command line. Raises UsageError."""
    from testbed.model.clab_nodes import ROLES

    found = []
    for text in texts:
        pattern, _, word = text.partition("=")
        role = next((one for one in ROLES if one == word), None)
        if role is None or not pattern:
            raise UsageError(f"--role {text} is not NAME=ROLE", f"ROLE is {', '.join(ROLES)}")
        found.append((pattern, role))
    return tuple(found)


def _documents(path: str, text: str) -> list[Any]:
    """JSON, or any number of YAML documents. Raises UsageError for neither."""
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


def _each_fits(roles: Iterable[tuple[str, Role]], nodes: Iterable[str]) -> None:
    """Raises UsageError for a NAME of the command line that no node has."""
    for pattern, role in roles:
        if not any(fnmatchcase(node, pattern) for node in nodes):
            hint = did_you_mean(pattern, nodes) or "NAME may be a pattern, as in 'leaf*'"
            raise UsageError(f"--role {pattern}={role} fits no node of the file", hint)
