"""`testbed doctor`: what this host can run, and what labs have left behind."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from testbed.cli.down import things
from testbed.cli.output import add_output_option, emit, note
from testbed.errors import CheckFailed
from testbed.kernel.features import Feature, FeatureStatus, needed_by_up, probe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--leftovers",
        action="store_true",
        help="list what ended labs have left behind instead; exit code 1 if there is anything",
    )
    add_output_option(parser)


def run(args: argparse.Namespace) -> int:
    """0 where `testbed up` has what it needs, else 3; --leftovers: 0 where none, else 1."""
    return _leftovers(args) if args.leftovers else _features(args)


def _features(args: argparse.Namespace) -> int:
    from testbed.cni.plugins import own_folder
    from testbed.kernel.packages import missing
    from testbed.lab.kernels import kernels_of, mode_kernels

    statuses = probe()
    found = kernels_of(statuses, note)
    rows = [
        row(status, [one.name for one in found if status.feature in one.features])
        for status in statuses
    ]
    emit(args, rows, COLUMNS)
    if args.output == "table":
        print()
        emit(args, [mode.to_json() for mode in mode_kernels(found)], MODE_COLUMNS)
        note(
            f"The testbed's own CNI plug-ins, for any runtime: CNI_PATH={own_folder()} (docs/cni.md)."
        )
    if packages := missing():
        root = "" if os.geteuid() == 0 else "sudo "
        note(f"for what is missing: {root}{INSTALL} {' '.join(packages)}")
    lacking = unmet(statuses, needed_by_up())
    if not lacking:
        note("testbed up has what it needs.")
        return 0
    for group in lacking:
        note(f"testbed up needs {' or '.join(group)}.")
    return EXIT_LACKING


EXIT_LACKING = 3
INSTALL = "apt-get install --no-install-recommends"

COLUMNS = {
    "FEATURE": lambda row: row["feature"],
    "AVAILABLE": lambda row: "yes" if row["available"] else "no",
    "KERNELS": lambda row: ", ".join(row["kernels"]) or "-",
    "NEEDED FOR": lambda row: row["needed_for"],
    "REMEDY": lambda row: row["remedy"] or "-",
}

MODE_COLUMNS = {
    "PROXY MODE": lambda row: row["mode"],
    "KERNELS": lambda row: ", ".join(row["kernels"]) or "-",
    "REMEDY": lambda row: row["remedy"] or "-",
}

LEFTOVER_COLUMNS = {
    "LAB": lambda row: row["lab"],
    "KIND": lambda row: row["kind"],
    "WHAT": lambda row: row["what"],
    "DETAIL": lambda row: row["detail"],
}


def row(status: FeatureStatus, kernels: Sequence[str] = ()) -> dict[str, object]:
    """A status as `doctor -o json` prints it; `kernels` has the feature (host, packaged, built)."""
    return {
        "feature": str(status.feature),
        "available": status.available,
        "kernels": list(kernels),
        "needed_for": status.needed_for,
        "remedy": status.remedy,
        "detail": status.detail,
    }


def unmet(
    statuses: Sequence[FeatureStatus], groups: Sequence[tuple[Feature, ...]]
) -> list[tuple[Feature, ...]]:
    """The groups of which no feature is available."""
    available = {status.feature for status in statuses if status.available}
    return [group for group in groups if available.isdisjoint(group)]


def _leftovers(args: argparse.Namespace) -> int:
    from testbed.lab.leftovers import find

    found = find()
    emit(args, [leftover.to_json() for leftover in found], LEFTOVER_COLUMNS)
    if found:
        of_docker = sorted(
            {one.lab for one in found if one.kind in ("container", "image", "volume")}
        )
        hint = f"`testbed down {' '.join(of_docker)}` removes what is Docker's" if of_docker else ""
        raise CheckFailed(f"ended labs have left {things(len(found))} behind", hint)
    note("Ended labs have left nothing behind.")
    return 0
