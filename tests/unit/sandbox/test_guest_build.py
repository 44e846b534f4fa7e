"""What is built, and out of which source."""

from __future__ import annotations

from pathlib import Path

from testbed.sandbox import guest_build


def test_the_newest_source_by_its_number_is_taken(tmp_path: Path) -> None:
    for name in ("linux-source-6.1.tar.xz", "linux-source-6.12.tar.xz", "linux-source-6.9.tar.xz"):
        (tmp_path / name).touch()
    (tmp_path / "linux-source-7.0").mkdir()
    newest = guest_build.newest(tmp_path)
    assert newest is not None
    assert newest.name == "linux-source-6.12.tar.xz"


def test_no_source_is_none(tmp_path: Path) -> None:
    assert guest_build.newest(tmp_path) is None


def test_a_build_is_named_by_its_version_and_configuration(tmp_path: Path) -> None:
    head = "# SPDX\nVERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 192\nEXTRAVERSION =\nNAME = Curry\n"
    (tmp_path / "Makefile").write_text(head)
    name = guest_build.name_of(tmp_path)
    version, _, digest = name.partition("-")
    assert version == "6.1.192"
    assert len(digest) == 8


def test_the_configuration_says_nothing_twice() -> None:
    lines = guest_build.CONFIG.read_text().splitlines()
    names = [
        line.removeprefix("# ").split("=")[0].split(" ")[0]
        for line in lines
        if line.startswith(("CONFIG_", "# CONFIG_"))
    ]
    assert len(names) == len(set(names))
