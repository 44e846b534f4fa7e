"""`testbed load`: its arguments, and Ctrl-C."""

from __future__ import annotations

import argparse
import os
import signal
from typing import Any, cast

import pytest

from testbed.cli import load
from testbed.errors import UsageError
from testbed.lab.load_handle import LoadHandle
from testbed.traffic.spec import LoadSpec

HERE = ["demo", "--from", "client-0", "--to", "http://web/hostname"]


def spec(*more: str) -> LoadSpec:
    parser = argparse.ArgumentParser()
    load.add_arguments(parser)
    args = parser.parse_args([*HERE, *more])
    return load.spec_of(args, args.url)


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ([], {"rate_rps": 100, "duration_s": 10, "reuse": 1, "close": "fin"}),
        (["--rate", "5", "--duration", "1m30s"], {"rate_rps": 5, "duration_s": 90}),
        (["--connections", "3"], {"rate_rps": None, "connections": 3}),
        (["--rate", "5", "--connections", "3"], {"rate_rps": 5, "connections": 3}),
        (["--timeout", "250ms", "--reuse", "7"], {"timeout_s": 0.25, "reuse": 7}),
        (
            ["--arrivals", "constant", "--close", "rst", "--seed", "9"],
            {"arrivals": "constant", "close": "rst", "seed": 9},
        ),
    ],
)
def test_arguments(arguments: list[str], fields: dict[str, Any]) -> None:
    found = spec(*arguments).to_json()
    assert {name: found[name] for name in fields} == fields
    assert (found["source"], found["url"]) == ("client-0", "http://web/hostname")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--duration", "soon"],
        ["--close", "slam"],
        ["--rate", "fast"],
        ["--connections", "0"],
        ["--connections", "few"],
    ],
)
def test_arguments_of_another_kind(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        spec(*arguments)


@pytest.mark.parametrize("arguments", [["--rate", "0"], ["--rate", "-1"], ["--reuse", "0"]])
def test_arguments_that_make_no_load(arguments: list[str]) -> None:
    with pytest.raises(UsageError):
        spec(*arguments)


class Handle:
    def __init__(self) -> None:
        self.stops = 0

    def stop(self) -> None:
        self.stops += 1


def test_the_first_ctrl_c_asks_and_the_second_insists() -> None:
    handle = Handle()
    runners = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with load._ended_by_ctrl_c(cast(LoadHandle, handle)) as interrupted:
            os.kill(os.getpid(), signal.SIGINT)
            assert interrupted == [signal.SIGINT]
            assert handle.stops == 1
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, runners)
