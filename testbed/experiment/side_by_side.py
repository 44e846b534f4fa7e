"""Blocks of trials, one after the other or several at a time, each of those in a process of its own."""

from __future__ import annotations

import ctypes
import os
import pickle
import selectors
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from testbed.errors import CheckFailed, TestbedError
from testbed.experiment.executor import Executor

RunBlock = Callable[[int], None]
"""Runs a block and stores its trials. Raises TestbedError."""

_PR_SET_PDEATHSIG = 1


def in_turn(numbers: Iterator[int], run: RunBlock) -> Iterator[int]:
    """One block after the other, in this process."""
    for number in numbers:
        run(number)
        yield number


@dataclass(frozen=True, slots=True)
class _Worker:
    number: int
    pid: int
    outcome: int
    """The pipe's end on which it says what it raised."""


def side_by_side(jobs: int) -> Executor:
    """So many blocks at a time. An error of one ends the others."""

    def run_all(numbers: Iterator[int], run: RunBlock) -> Iterator[int]:
        workers: list[_Worker] = []
        try:
            while True:
                while len(workers) < jobs and (number := next(numbers, None)) is not None:
                    workers.append(_started(number, run))
                if not workers:
                    return
                ended = _first_ended(workers)
                workers.remove(ended)
                _raise_its_error(ended)
                yield ended.number
        finally:
            _end(workers)

    return run_all


def _started(number: int, run: RunBlock) -> _Worker:
    """A forked process that runs the block: it has this one's experiment, labs' kernel and signal handlers."""
    sys.stdout.flush()
    sys.stderr.flush()
    parent, (mine, its) = os.getpid(), os.pipe()
    pid = os.fork()
    if pid:
        os.close(its)
        return _Worker(number, pid, mine)
    os.close(mine)
    code = 1
    try:
        end_with(parent)
        code = _said(its, number, run)
    finally:
        sys.stderr.flush()
        os._exit(code)


def end_with(parent: int) -> None:
    """Be asked to end when the parent is gone, even if it was killed."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        raise KeyboardInterrupt


def _said(pipe: int, number: int, run: RunBlock) -> int:
    error: BaseException | None = None
    try:
        run(number)
    except KeyboardInterrupt:
        return 130
    except TestbedError as problem:
        error = problem
    except BaseException as problem:
        traceback.print_exc()
        error = RuntimeError(f"{type(problem).__name__} in block {number}, see above")
    with os.fdopen(pipe, "wb") as out:
        pickle.dump(error, out)
    return 0


def _first_ended(workers: list[_Worker]) -> _Worker:
    with selectors.DefaultSelector() as selector:
        for worker in workers:
            selector.register(worker.outcome, selectors.EVENT_READ, worker)
        key, _ = selector.select()[0]
    worker = key.data
    assert isinstance(worker, _Worker)
    return worker


def _raise_its_error(worker: _Worker) -> None:
    with os.fdopen(worker.outcome, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(worker.pid, 0)
    if said:
        error = pickle.loads(said)
        if error is not None:
            raise error
    elif os.waitstatus_to_exitcode(status) == 130:
        raise KeyboardInterrupt
    else:
        code = os.waitstatus_to_exitcode(status)
        raise CheckFailed(
            f"the process of block {worker.number} ended with {code}", "go on with --resume"
        )


def _end(workers: list[_Worker]) -> None:
    """Ask them to take their labs down, and wait for that."""
    for worker in workers:
        with suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGTERM)
    for worker in workers:
        os.close(worker.outcome)
        with suppress(ChildProcessError):
            os.waitpid(worker.pid, 0)
