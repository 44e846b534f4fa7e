"""`testbed graph`: a picture of a topology or of a lab that runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.cli.arguments import add_set_option
from testbed.cli.output import note
from testbed.errors import OutOfTimeOrRoom, UsageError
from testbed.model import shipped

if TYPE_CHECKING:
    from testbed.picture.scene import Scene

FORMS = ("svg", "png", "html", "mermaid", "dot")
VIEWS = ("physical", "pods", "services")
_BY_SUFFIX = {".htm": "html", ".mmd": "mermaid", ".gv": "dot"}
_DEFAULT_VIEW = "pods"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what", metavar="FILE|N", help="a topology, or a lab that runs (which comes first)"
    )
    parser.add_argument(
        "-f", "--format", choices=FORMS, dest="form", help="(as FILE is named, else svg)"
    )
    parser.add_argument(
        "--view",
        choices=VIEWS,
        help=f"what to show ({_DEFAULT_VIEW}; in html all of them)",
    )
    parser.add_argument("-w", "--write", type=Path, metavar="FILE", help="where to (stdout)")
    add_set_option(parser)


def run(args: argparse.Namespace) -> int:
    """Write the picture; says where."""
    form = args.form or _form_of(args.write)
    if form == "png" and args.write is None and sys.stdout.isatty():
        raise UsageError("a PNG is nothing for a terminal", "say -w FILE, or use -f mermaid")
    from testbed.picture.files import written
    from testbed.picture.views import VIEWS as MAKERS

    scene = _scene(args.what, args.settings)
    views = [args.view] if args.view else VIEWS if form == "html" else [_DEFAULT_VIEW]
    data = written(scene.name, [MAKERS[view](scene) for view in views], form)
    if args.write is None:
        sys.stdout.buffer.write(data)
        return 0
    try:
        args.write.write_bytes(data)
    except OSError as error:
        raise OutOfTimeOrRoom(f"cannot write {args.write}: {error.strerror}") from None
    of = "lab" if scene.live else "topology"
    note(f"{args.write}: {form} of {of} {scene.name}, {', '.join(views)}")
    return 0


def _form_of(path: Path | None) -> str:
    """As the file is named. Raises UsageError for a name that says nothing we can write."""
    suffix = path.suffix.lower() if path else ".svg"
    form = _BY_SUFFIX.get(suffix, suffix.removeprefix("."))
    if form not in FORMS:
        raise UsageError(f"{path} does not say what to write", f"say -f, one of {', '.join(FORMS)}")
    return form


def _scene(what: str, settings: list[str]) -> Scene:
    """Of the file that is there, of the lab of that name, or of the topology that comes with the package."""
    from testbed.lab import registry

    file = what if what in registry.names() else shipped.found(what)
    if "/" in file or Path(file).suffix in {".yaml", ".yml"} or Path(file).is_file():
        from testbed.model.loader import load
        from testbed.picture.scene import scene_of

        return scene_of(load(file, settings))
    if settings:
        raise UsageError("--set is for a topology's file", f"`testbed up` changes lab {what}")
    from testbed.lab.client import Lab
    from testbed.live.scene import scene_of_lab

    return scene_of_lab(Lab.attach(what))
