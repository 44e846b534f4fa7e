"""`testbed graph` of topologies: what it writes where, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.cli.main import main

QUICKSTART = str(Path(__file__).parents[3] / "topologies" / "quickstart.yaml")


@pytest.mark.parametrize(
    ("name", "starts"),
    [
        ("x.svg", b"<?xml"),
        ("x.PNG", b"\x89PNG"),
        ("x.html", b"<!doctype html>"),
        ("x.mmd", b"---\ntitle"),
        ("x.gv", b"digraph"),
    ],
)
def test_the_files_name_says_the_form(
    name: str, starts: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / name
    assert main(["graph", QUICKSTART, "-w", str(file)]) == 0
    assert file.read_bytes().startswith(starts)
    assert "of topology quickstart" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("-w", "x.pdf"), 2, "x.pdf does not say what to write (say -f, one of svg, png"),
        (("-w", "x"), 2, "x does not say what to write"),
        (("-w", "/nowhere/x.svg"), 5, "cannot write /nowhere/x.svg: No such file"),
        (("--set", "nodes=1"), 2, "nodes"),
    ],
)
def test_what_cannot_be_written_is_said(
    arguments: tuple[str, ...], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["graph", QUICKSTART, *arguments]) == code
    assert said in capsys.readouterr().err


def test_set_changes_what_is_drawn(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    change = "workloads.web.replicas=1"
    assert main(["graph", QUICKSTART, "--set", change, "--view", "services", "-f", "mermaid"]) == 0
    shown = capsysbinary.readouterr().out
    assert b"web-0" in shown
    assert b"web-1" not in shown


def test_a_topology_that_comes_along_goes_by_its_name(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    assert main(["graph", "five-nodes", "-f", "dot"]) == 0
    assert b"n5" in capsysbinary.readouterr().out


def test_neither_lab_nor_topology(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["graph", "nobody"]) == 4
    assert "no lab 'nobody'" in capsys.readouterr().err
