"""The control socket's language, both ends in one process."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from testbed.errors import MissingFeature, NotFound, OutOfTimeOrRoom, TestbedError, UsageError
from testbed.lab import control, wire
from testbed.lab.control import Call, Method
from testbed.lab.wire import Connection


async def double(call: Call) -> int:
    return int(call.params["number"]) * 2


async def count(call: Call) -> str:
    for number in range(3):
        call.progress(number)
    return "counted"


async def refuse(call: Call) -> None:
    raise OutOfTimeOrRoom("no room", "make some")


async def stumble(call: Call) -> None:
    raise ZeroDivisionError("our bug")


async def fill(call: Call) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


async def write(call: Call) -> int:
    return os.write(call.fds[0], b"by descriptor")


METHODS: dict[str, Method] = {
    "double": double,
    "count": count,
    "refuse": refuse,
    "stumble": stumble,
    "fill": fill,
    "write": write,
}


@contextmanager
def served(folder: Path) -> Iterator[Connection]:
    """A connection to a lab that answers `METHODS`."""
    listener = wire.listen(folder)
    over = asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []
    listening = threading.Event()

    async def main() -> None:
        loops.append(asyncio.get_running_loop())
        loops[0].set_exception_handler(lambda loop, context: None)  # `stumble` is on purpose
        control.serve(listener, METHODS)
        listening.set()
        await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    listening.wait()
    try:
        yield Connection(folder)
    finally:
        loops[0].call_soon_threadsafe(over.set)
        thread.join()
        listener.close()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Connection]:
    with served(tmp_path) as connection:
        yield connection


def test_a_call_has_a_result(lab: Connection) -> None:
    assert [lab.call("double", {"number": number}) for number in (1, 2, 3)] == [2, 4, 6]


def test_progress_comes_before_the_result(lab: Connection) -> None:
    heard: list[Any] = []
    assert lab.call("count", on_progress=heard.append) == "counted"
    assert heard == [0, 1, 2]


def test_an_error_arrives_as_the_same_error(lab: Connection) -> None:
    with pytest.raises(OutOfTimeOrRoom) as raised:
        lab.call("refuse")
    assert (raised.value.message, raised.value.hint) == ("no room", "make some")


def test_an_unknown_method_is_wrong_usage(lab: Connection) -> None:
    with pytest.raises(UsageError, match="no-such"):
        lab.call("no-such")


def test_a_full_disk_under_the_lab_is_a_lack_of_room(lab: Connection) -> None:
    with pytest.raises(OutOfTimeOrRoom, match="no room left"):
        lab.call("fill")


def test_a_bug_is_answered_and_the_lab_goes_on(lab: Connection) -> None:
    with pytest.raises(TestbedError, match="ZeroDivisionError"):
        lab.call("stumble")
    assert lab.call("double", {"number": 4}) == 8


def test_file_descriptors_ride_along(lab: Connection) -> None:
    read_end, write_end = os.pipe()
    assert lab.call("write", fds=[write_end]) == 13
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        assert pipe.read() == b"by descriptor"  # to the end: the lab closed its copy


def test_a_message_larger_than_any_buffer_arrives_whole(lab: Connection) -> None:
    padding = "x" * 1_000_000
    assert lab.call("double", {"number": 5, "padding": padding}) == 10


def test_nobody_listens_where_no_lab_is(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="does not answer"):
        Connection(tmp_path)
    with pytest.raises(NotFound):
        Connection(tmp_path / "nowhere")


def test_a_socket_in_a_folder_with_a_long_name(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    with served(folder) as connection:
        assert connection.call("double", {"number": 1}) == 2


def test_a_lab_that_ends_during_a_call_is_not_found(tmp_path: Path) -> None:
    listener = wire.listen(tmp_path)
    connection = Connection(tmp_path)
    listener.accept()[0].close()
    with pytest.raises(NotFound, match=tmp_path.name):
        connection.call("double")
    listener.close()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("MissingFeature", MissingFeature),
        ("Problem", TestbedError),  # a name in errors that is no error
        ("KeyError", TestbedError),
        ("os", TestbedError),
    ],
)
def test_only_our_own_errors_are_rebuilt(kind: str, expected: type[TestbedError]) -> None:
    error = wire.error_of({"type": kind, "message": "m", "hint": "h"})
    assert (type(error), error.message, error.hint) == (expected, "m", "h")
