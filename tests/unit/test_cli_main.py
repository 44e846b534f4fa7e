"""The command line itself: finding commands, errors, exit codes, what it prints where."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from testbed import __version__
from testbed.cli import main as cli
from testbed.cli.output import add_output_option, align, cell, emit, table
from testbed.errors import MissingFeature, NotFound, OutOfTimeOrRoom

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*argv: str) -> tuple[int, str, str]:
        try:
            code = cli.main(argv)
        except SystemExit as end:  # argparse ends so
            code = end.code if isinstance(end.code, int) else 1
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def command(monkeypatch: pytest.MonkeyPatch, body: Callable[[argparse.Namespace], int]) -> None:
    """Make `testbed ls` a command that does `body`."""
    module = SimpleNamespace(add_arguments=add_output_option, run=body)
    monkeypatch.setitem(sys.modules, "testbed.cli.ls", module)


def raising(error: BaseException) -> Callable[[argparse.Namespace], int]:
    def body(args: argparse.Namespace) -> int:
        raise error

    return body


def test_an_interrupt_within_a_library_is_an_interrupt(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def body(args: argparse.Namespace) -> int:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise ValueError("calling back") from error

    command(monkeypatch, body)
    assert run("ls") == (130, "", "testbed: interrupted\n")


def test_version_imports_nothing_heavy() -> None:
    script = (
        "import sys; from testbed.cli.main import main; main(['--version']);"
        "print(sorted(set(sys.modules) & {'pydantic', 'numpy', 'ruamel.yaml', 'asyncio'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [f"testbed {__version__}", "[]"]


def test_help_names_every_command(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    assert all(f"  {name} " in out for name in cli.COMMANDS)


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        ((), 2, "usage: testbed"),
        (("chekc",), 2, "unknown command chekc, did you mean check?"),
        (("zzz",), 2, "unknown command zzz; see"),
        (
            ("heal", "x", "n1"),
            2,
            "unknown command heal, did you mean `testbed fault N heal WHERE`?",
        ),
        (("get", "pods"), 2, "unknown command get, did you mean `testbed kubectl N -- get …`?"),
        (("--verson",), 2, "unknown option --verson, did you mean --version?"),
        (("check",), 2, "the following arguments are required: FILE"),
        (("check", "a", "--outptu", "json"), 2, "unknown argument --outptu, did you mean --output"),
        (("check", "a", "b"), 2, "unknown argument b"),
        (("check", "a", "-o", "xml"), 2, "invalid choice: 'xml'"),
        (("check", "a", "--outp", "json"), 2, "unknown argument --outp"),
        (("kubectl",), 2, "the following arguments are required: N"),
    ],
)
def test_wrong_usage_is_one_sentence(run: Run, argv: tuple[str, ...], code: int, said: str) -> None:
    got, out, err = run(*argv)
    assert (got, out) == (code, "")
    assert said in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (NotFound("no lab named x"), 4, "testbed: no lab named x\n"),
        (MissingFeature("no nft", "apt install"), 3, "testbed: no nft (apt install)\n"),
        (OutOfTimeOrRoom("up timed out"), 5, "testbed: up timed out\n"),
        (KeyboardInterrupt(), 130, "testbed: interrupted\n"),
    ],
)
def test_errors_become_exit_codes(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:
    command(monkeypatch, raising(error))
    assert run("ls", "-o", "json") == (code, "", said)


def test_a_bug_of_ours_looks_like_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    command(monkeypatch, raising(ZeroDivisionError("bug")))
    with pytest.raises(ZeroDivisionError):
        run("ls")


def into(target: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "testbed.cli.main", "schema"],
        stdout=target,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )


def test_a_reader_that_went_away_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = into(writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_full_disk_is_said() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    done = into(full)
    os.close(full)
    assert done.returncode == 5
    assert done.stderr == "testbed: cannot write: No space left on device\n"


ROWS = [{"name": "a", "pods": 3, "ready": True}, {"name": "longer", "pods": None, "ready": False}]


def test_a_table_is_aligned_as_kubectls() -> None:
    assert table(ROWS).splitlines() == [
        "NAME     PODS     READY",
        "a        3        true",
        "longer   <none>   false",
    ]


def test_a_table_of_no_rows_still_has_its_header() -> None:
    assert table([], {"NAME": lambda row: row["name"]}) == "NAME"
    assert table([]) == ""


def test_one_object_is_lines_of_key_and_value() -> None:
    assert table({"name": "a", "rate_rps": 12.3456}) == "name:     a\nrate_rps: 12.35"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "<none>"), ([], "<none>"), ("", "<none>"), (0, "0"), (0.0, "0"), (False, "false"),
        ([1, 2], "1,2"), ({"ok": 3}, "ok=3"), ([{"a": 1}], "a=1"),
    ],
)  # fmt: skip
def test_a_cell(value: Any, shown: str) -> None:
    assert cell(value) == shown


def test_align_leaves_nothing_at_the_end_of_a_line() -> None:
    assert align([["a", "b"], ["ccc", ""]]) == "a     b\nccc"


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_json_and_yaml_hold_the_same(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    from ruamel.yaml import YAML

    emit(argparse.Namespace(output=form), ROWS)
    printed = capsys.readouterr().out
    read = json.loads(printed) if form == "json" else YAML(typ="safe").load(printed)
    assert read == ROWS
