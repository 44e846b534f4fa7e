"""Which labs there are: folders whose lock is held."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from testbed.errors import NotFound, OutOfTimeOrRoom, UsageError
from testbed.lab import registry


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "testbed"
    monkeypatch.setattr(registry, "root", lambda: path)
    return path


def alive(name: str) -> int:
    """A lab's folder with its lock held; the lock's file descriptor."""
    return registry.hold(registry.make_folder(name))


@pytest.mark.parametrize("name", ["Upper", "../up", "", "-a", "a-", "a b", "a" * 64, "a\n"])
def test_what_can_be_no_labs_name(name: str) -> None:
    with pytest.raises(UsageError):
        registry.folder(name)


@pytest.mark.parametrize("name", ["a", "quickstart-2", "7", "a" * 63])
def test_what_can_be_a_labs_name(name: str, root: Path) -> None:
    assert registry.folder(name) == root / name


def test_a_lab_lives_as_long_as_its_lock_is_held() -> None:
    lock = alive("one")
    assert registry.names() == ["one"]
    assert registry.find("one") == registry.folder("one")
    os.close(lock)
    with pytest.raises(NotFound, match="no lab runs"):
        registry.find("one")


def test_looking_takes_dead_folders_away(root: Path) -> None:
    os.close(alive("dead"))
    lock = alive("living")
    assert registry.names() == ["living"]
    assert sorted(path.name for path in root.iterdir()) == ["living"]
    os.close(lock)


def test_a_folder_without_a_lock_is_only_just_starting() -> None:
    registry.make_folder("young")
    assert registry.names() == []
    assert registry.folder("young").is_dir()


def test_a_dead_labs_name_can_be_used_again() -> None:
    os.close(alive("again"))
    (registry.folder("again") / "log").write_text("old")
    assert list(registry.make_folder("again").iterdir()) == []


def test_a_living_labs_folder_cannot_be_made_again() -> None:
    lock = alive("one")
    with pytest.raises(OutOfTimeOrRoom):
        registry.make_folder("one")
    os.close(lock)


def test_the_missing_lab_names_those_that_run() -> None:
    locks = [alive("amber"), alive("blue")]
    with pytest.raises(NotFound, match="running: amber, blue"):
        registry.find("green")
    for lock in locks:
        os.close(lock)


def test_a_folder_that_cannot_be_made_is_a_sentence(root: Path) -> None:
    root.write_text("a file is in the way")
    with pytest.raises(OutOfTimeOrRoom, match="set XDG_RUNTIME_DIR"):
        registry.make_folder("one")
    with pytest.raises(OutOfTimeOrRoom), registry.starting("one"):
        pass


def test_labs_that_cannot_be_listed_are_a_sentence(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        registry, "root", lambda: root.parent / ("x" * 300)
    )  # no file system takes that
    with pytest.raises(OutOfTimeOrRoom, match="set XDG_RUNTIME_DIR"):
        registry.names()


def test_starting_notices_that_its_lock_file_was_taken_away(root: Path) -> None:
    with registry.starting("one"):
        registry.remove(registry.folder("one"))
        with registry.starting("one"):  # a file of its own: the old one is nobody's
            assert (root / ".one.starting").exists()


@pytest.mark.parametrize("text", ["", "no number", None])
def test_a_pid_that_was_never_written_is_none(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "pid").write_text(text)
    assert registry.pid(tmp_path) is None
