"""Waiting for what a lab process says next."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from testbed.errors import OutOfTimeOrRoom, TestbedError
from testbed.runtime.processes import LabProcess, next_message


def heard_by(process: LabProcess, *messages: dict[str, Any], timeout_s: float = 60.0) -> Any:
    async def wait() -> dict[str, Any]:
        heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        for message in messages:
            heard.put_nowait(message)
        return await next_message(heard, process, timeout_s, "the recorder")

    return asyncio.run(wait())


def ended(code: int) -> LabProcess:
    process = LabProcess(1, 0, code=code)
    process.ended.set()
    return process


def test_the_first_of_what_it_said() -> None:
    assert heard_by(LabProcess(1, 0), {"a": 1}, {"b": 2}) == {"a": 1}


def test_who_has_ended_may_have_said_it_before() -> None:
    assert heard_by(ended(0), {"a": 1}) == {"a": 1}


def test_nobody_waits_for_who_has_ended() -> None:
    with pytest.raises(TestbedError, match="the recorder ended with code 137"):
        heard_by(ended(137))


def test_who_says_nothing_is_out_of_time() -> None:
    with pytest.raises(OutOfTimeOrRoom, match="the recorder said nothing"):
        heard_by(LabProcess(1, 0), timeout_s=0.01)
