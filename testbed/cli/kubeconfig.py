"""`testbed kubeconfig`: how kubectl and other clients of Kubernetes reach a lab."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.cli.arguments import add_lab_argument
from testbed.cli.inspect import only_lab
from testbed.cli.output import FORMATS, emit, note, to_yaml
from testbed.errors import OutOfTimeOrRoom, UsageError

if TYPE_CHECKING:
    from testbed.lab.client import Lab


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_lab_argument(parser, optional=True)
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "-w", "--write", metavar="FILE", help="write it there (a file in the lab's own folder)"
    )
    where.add_argument(
        "--merge",
        action="store_true",
        help="add it to your own ($KUBECONFIG, ~/.kube/config) and make it the current context",
    )
    parser.add_argument(
        "-o",
        "--output",
        choices=FORMATS,
        default="table",
        help="table: the path of the file that is written; json, yaml: what is in it (table)",
    )


def run(args: argparse.Namespace) -> int:
    """Write it, and say where; with -o json or yaml print it instead."""
    from testbed.lab.client import Lab

    lab = Lab.attach(only_lab(args.lab))
    if args.output != "table":
        if args.write or args.merge:
            raise UsageError("-o prints the kubeconfig", "leave -o out to have it written")
        emit(args, config_of(lab))
        return 0
    if args.merge:
        path = _merge(config_of(lab))
        note(f"{path} has the context testbed-{lab.name}, which is the current one now")
    else:
        path = written(lab, Path(args.write) if args.write else None)
    print(path)
    return 0


def config_of(lab: Lab) -> dict[str, Any]:
    """The lab's kubeconfig; its API is opened where it has not been."""
    from testbed.lab.api_access import kubeconfig

    return kubeconfig(lab.name, lab.kubernetes())


def written(lab: Lab, path: Path | None = None) -> Path:
    """Write the lab's kubeconfig for its owner alone; returns where (a file in the lab's folder).

    Raises OutOfTimeOrRoom.
    """
    from testbed.lab.api_access import FILE

    target = path or lab.folder / FILE
    _write(target, config_of(lab))
    return target


def _merge(config: dict[str, Any]) -> Path:
    """Add a kubeconfig to the user's own: the first file of $KUBECONFIG, or ~/.kube/config."""
    from testbed.lab.kubeconfig_merge import merged

    named = [one for one in os.environ.get("KUBECONFIG", "").split(os.pathsep) if one]
    path = Path(named[0]) if named else Path.home() / ".kube" / "config"
    path = path.resolve()  # a link stays one
    try:
        text = path.read_text() if path.exists() else ""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from None
    _write(path, merged(text, config, str(path)))
    return path


def _write(path: Path, config: dict[str, Any]) -> None:
    from testbed.lab.api_access import write_private

    try:
        write_private(path, to_yaml(config))
    except OSError as error:
        raise OutOfTimeOrRoom(f"cannot write {path}: {error.strerror}") from None
