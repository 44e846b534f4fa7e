"""`testbed artifact RUN`: a run, what made it and how to check it, in one file."""

from __future__ import annotations

import argparse
from pathlib import Path

from testbed.cli.output import add_output_option, emit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run", metavar="RUN", help="a directory results/EXPERIMENT/RUN, or RUN alone"
    )
    parser.add_argument(
        "-w", "--write", type=Path, metavar="FILE", help="where to (EXPERIMENT-RUN.tar.gz)"
    )
    add_output_option(parser)


def run(args: argparse.Namespace) -> int:
    """Pack it; prints the file's path."""
    from testbed.analysis.run import load_run
    from testbed.experiment.atomic import write_atomically
    from testbed.experiment.runs import find_run
    from testbed.report.artifact import files, name_of, packed
    from testbed.report.written import written

    folder = Path(args.run) if Path(args.run).is_dir() else find_run(Path("results"), args.run)
    stored = load_run(folder)
    content = files(stored, _sources(stored.meta))
    name = name_of(stored)
    path = args.write or Path(f"{name}.tar.gz")
    data = packed(name, content)
    written(path, lambda target: write_atomically(target, lambda draft: draft.write_bytes(data)))
    if args.output == "table":
        print(path)
    else:
        emit(args, {"file": str(path), "bytes": len(data), "files": sorted(content)})
    return 0


def _sources(meta: object) -> dict[str, bytes]:
    """What is not in the run's directory: the check, the experiment, whose it all is."""
    from testbed.cli import artifact_check
    from testbed.experiment import module

    assert isinstance(meta, dict)
    experiment = module.find(str(meta.get("module") or meta["experiment"]))
    about = Path(__file__).parents[1] / "_about"
    about = about if about.is_dir() else Path(__file__).parents[2]
    return {
        "check.py": Path(artifact_check.__file__).read_bytes(),
        f"experiment/{experiment.name}": experiment.read_bytes(),
        **{name: (about / name).read_bytes() for name in ("LICENSE", "CITATION.cff")},
    }
