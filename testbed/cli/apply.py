"""`testbed apply`: a lab's objects from Kubernetes manifests, without kubectl."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.cli.arguments import add_lab_argument, text_of
from testbed.cli.output import add_output_option, emit, note
from testbed.errors import TopologyError, UsageError

if TYPE_CHECKING:
    from testbed.lab.applying import Applied
    from testbed.model.document import Document

_ENDINGS = (".json", ".yaml", ".yml")
EXIT_FAILED, EXIT_INVALID = 1, 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_lab_argument(parser)
    parser.add_argument(
        "-f",
        "--filename",
        action="append",
        required=True,
        metavar="FILE",
        help="manifests: a file, a folder's *.yaml, *.yml and *.json, or - for standard input",
    )
    parser.add_argument(
        "-R", "--recursive", action="store_true", help="folders within a folder, too"
    )
    parser.add_argument(
        "-n", "--namespace", default="default", metavar="NS", help="of objects that name none"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would become of them")
    add_output_option(parser)


def run(args: argparse.Namespace) -> int:
    """Apply all; 1 where the lab refused one, 2 where a manifest is wrong (nothing is applied if it is no
    manifest at all).
    """
    from testbed.lab.api_client import ApiClient
    from testbed.lab.applying import apply, wanted
    from testbed.lab.client import Lab

    objects, problems = wanted(_documents(args), args.namespace)
    if problems:
        raise TopologyError(problems)
    if not objects:
        raise UsageError("no objects to apply", f"{', '.join(args.filename)}: empty")
    lab = Lab.attach(args.lab)
    client = ApiClient(lab.kubernetes())
    rows = []
    try:
        for row in apply(client, objects, dry_run=args.dry_run):
            rows.append(row)
            _tell(row, dry_run=args.dry_run, table=args.output == "table")
    finally:
        client.close()
    if args.output != "table":
        emit(args, [row.to_json() for row in rows])
    refused = [row for row in rows if row.problems]
    return (EXIT_INVALID if all(row.invalid for row in refused) else EXIT_FAILED) if refused else 0


def _tell(row: Applied, *, dry_run: bool, table: bool) -> None:
    for warning in row.warnings:
        note(f"Warning: {warning}")
    for problem in row.problems:
        note(f"testbed: {row.wanted.label}: {problem}")
    if table and not row.problems:
        print(f"{row.wanted.label} {row.result}{' (dry run)' if dry_run else ''}", flush=True)


def _documents(args: argparse.Namespace) -> list[Document]:
    from testbed.model.document import NotYAMLError, documents

    found: list[Document] = []
    for name in args.filename:
        for path in _files(name, args.recursive):
            try:
                found += documents(text_of(path), path)
            except NotYAMLError as error:
                raise TopologyError((error.problem,)) from None
    return found


def _files(name: str, recursive: bool) -> list[str]:
    """The files of a folder in order of their names; of anything else, itself."""
    folder = Path(name)
    if name == "-" or not folder.is_dir():
        return [name]
    paths = sorted(folder.rglob("*") if recursive else folder.iterdir())
    found = [str(path) for path in paths if path.suffix in _ENDINGS and path.is_file()]
    if not found:
        raise UsageError(f"{name} has no {', '.join(f'*{one}' for one in _ENDINGS)}")
    return found
