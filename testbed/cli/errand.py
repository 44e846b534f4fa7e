"""Carries out one order on a worker (`experiment.on_worker`): no command, started as a process of its own."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from testbed.cli.outside import carrier_of, kernel_of, outside_of
from testbed.errors import TestbedError
from testbed.experiment.environment import environment
from testbed.experiment.interrupt import Interrupts
from testbed.experiment.on_worker import ANSWER, ORDER
from testbed.experiment.order import Order
from testbed.experiment.progress import Progress
from testbed.experiment.run_directory import RunDirectory
from testbed.experiment.runner import Runner
from testbed.experiment.side_by_side import end_with

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def main(folder: Path, parent: int) -> int:
    """Answer the order in the folder; without the parent nobody else removes it."""
    try:
        end_with(parent)
        order = Order.from_json(json.loads((folder / ORDER).read_text(encoding="utf-8")))
        answer: dict[str, Any] = {}
        try:
            answer |= _introduction(order, folder) if order.block is None else {}
            if order.block is not None:
                _run_block(order, order.block, folder)
        except TestbedError as error:
            answer["error"] = error
        answer["trials"] = RunDirectory(folder).files()
        draft = folder / f".{ANSWER}"
        draft.write_bytes(pickle.dumps(answer))
        draft.rename(folder / ANSWER)
    except KeyboardInterrupt:
        return 130
    finally:
        if os.getppid() != parent:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


def _introduction(order: Order, folder: Path) -> dict[str, Any]:
    """Who this machine is. Raises MissingFeature where it cannot carry the run's labs."""
    experiment = order.work.experiment(folder)
    carrier = carrier_of(experiment, order.work.topologies)
    return {
        "boot_id": BOOT_ID.read_text().strip(),
        "environment": environment(kernel_of(carrier)),
    }


def _run_block(order: Order, number: int, folder: Path) -> None:
    """Leave the block's trials in the folder. Raises as `Runner.run` does."""
    work, interrupts = order.work, Interrupts()
    experiment = work.experiment(folder)
    carrier = carrier_of(experiment, work.topologies)
    outside = outside_of(experiment, work.design, carrier, alone=experiment.timing)
    outside = replace(outside, machine=order.machine)
    runner = Runner(experiment, work.design, RunDirectory(folder), work.topology, outside)
    progress = Progress(experiment.name, work.design, print)
    with interrupts.handled():
        runner.run_block(number, dict(order.finished), interrupts, progress)


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), int(sys.argv[2])))
