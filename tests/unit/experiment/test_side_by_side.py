"""Blocks in processes of their own: what they raise arrives, and none is left."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testbed.errors import CheckFailed, OutOfTimeOrRoom
from testbed.experiment.side_by_side import Executor, in_turn, side_by_side


def blocks(folder: Path) -> Callable[[int], None]:
    """A block leaves a file."""
    return lambda number: (folder / str(number)).touch()


@pytest.mark.parametrize("executor", [in_turn, side_by_side(2), side_by_side(5)])
def test_every_block_is_run_once_and_told_when_it_is_done(
    executor: Executor, tmp_path: Path
) -> None:
    done = []
    for number in executor(iter(range(7)), blocks(tmp_path)):
        assert (tmp_path / str(number)).is_file()
        done.append(number)
    assert sorted(done) == list(range(7))


def test_several_are_under_way_at_a_time(tmp_path: Path) -> None:
    """Each waits for the other: one after the other would never end."""
    for end in ("0", "1"):
        os.mkfifo(tmp_path / end)

    def meet(number: int) -> None:
        if number == 0:
            (tmp_path / "0").write_text("here")
            assert (tmp_path / "1").read_text() == "too"
        else:
            assert (tmp_path / "0").read_text() == "here"
            (tmp_path / "1").write_text("too")

    assert sorted(side_by_side(2)(iter(range(2)), meet)) == [0, 1]


def test_no_block_is_asked_for_before_it_can_begin(tmp_path: Path) -> None:
    asked: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(9):
            asked.append(number)
            yield number

    first = next(iter(side_by_side(2)(numbers(), blocks(tmp_path))))
    assert first in (0, 1)
    assert asked == [0, 1]


def test_an_error_arrives_as_it_was_and_ends_the_others(tmp_path: Path) -> None:
    def fail(number: int) -> None:
        (tmp_path / str(os.getpid())).touch()
        if number == 1:
            raise OutOfTimeOrRoom("no room left in results", "free some")
        signal.pause()

    with pytest.raises(OutOfTimeOrRoom) as caught:
        list(side_by_side(2)(iter(range(4)), fail))
    assert str(caught.value) == "no room left in results (free some)"
    for path in tmp_path.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.name), 0)


def test_a_bug_shows_where_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    def fail(number: int) -> None:
        raise ZeroDivisionError("here")

    with pytest.raises(RuntimeError, match="ZeroDivisionError in block 0"):
        list(side_by_side(2)(iter([0]), fail))
    assert "ZeroDivisionError: here" in capfd.readouterr().err


def test_a_process_that_is_killed_is_no_finished_block() -> None:
    def die(number: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(CheckFailed, match="block 3 ended with -9"):
        list(side_by_side(2)(iter([3]), die))


def test_an_interruption_of_a_block_is_one_of_the_run() -> None:
    def interrupted(number: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(side_by_side(2)(iter([0]), interrupted))
