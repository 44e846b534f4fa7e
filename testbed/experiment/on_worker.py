"""What a worker of Dask.distributed does for a run: it lets a process of its own carry out each order.

A process, because labs and interrupts need a main thread, and because it can be ended.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from testbed.experiment.order import program

ORDER, ANSWER = "order.json", "answer"
"""Files in the folder of an order."""
_LOOK_S = 0.5
_END_S = 90.0
"""How long a lab may take to go down."""
_at_work: list[str] = []
"""Who sent the orders that are being carried out."""


def perform(order: Mapping[str, Any], wanted: Callable[[], bool]) -> dict[str, Any]:
    """Carry out an order (`order.Order.to_json`); returns what its process answered.

    `other`: this worker's testbed is not the one that ordered; `crashed`: what its process said at last,
    which ended with `code`.
    When it is not `wanted` any more, the process is ended, and its lab with it.
    """
    if order["testbed"] != program():
        return {"other": program()}
    with TemporaryDirectory(prefix="testbed-block-") as name:
        folder = Path(name)
        (folder / ORDER).write_text(json.dumps(order), encoding="utf-8")
        with (folder / "said").open("wb") as said:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "testbed.cli.errand", name, str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
            _at_work.append(order["sender"])
            try:
                _attend(process, wanted)
            finally:
                _at_work.remove(order["sender"])
        if (folder / ANSWER).is_file():
            answer: dict[str, Any] = pickle.loads((folder / ANSWER).read_bytes())
            return answer
        text = (folder / "said").read_text(encoding="utf-8", errors="replace")
        return {"crashed": text[-4000:] or "it said nothing", "code": process.returncode}


def _attend(process: subprocess.Popen[bytes], wanted: Callable[[], bool]) -> None:
    while True:
        try:
            process.wait(_LOOK_S)
            return
        except subprocess.TimeoutExpired:
            if wanted():
                continue
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return


def at_work(sender: str) -> int:
    """How many orders of a sender this worker is carrying out."""
    return _at_work.count(sender)
