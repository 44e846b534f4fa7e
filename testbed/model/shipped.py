"""The topologies that come with the package, by name."""

from __future__ import annotations

from pathlib import Path

import testbed
from testbed.spelling import did_you_mean


def folder() -> Path:
    """Where they are: in the installed package, or beside it in a checkout."""
    package = Path(testbed.__file__).parent
    installed = package / "_topologies"
    return installed if installed.is_dir() else package.parent / "topologies"


def names() -> tuple[str, ...]:
    """All of them."""
    return tuple(sorted(path.stem for path in folder().glob("*.yaml")))


def found(text: str) -> str:
    """The path of what was named: a file, else a topology of ./topologies, else one that comes with the
    package; what is none of these comes back as it is, for the loader to say so.
    """
    if "/" in text or Path(text).suffix or Path(text).is_file():
        return text
    for path in (Path("topologies") / f"{text}.yaml", folder() / f"{text}.yaml"):
        if path.is_file():
            return str(path)
    return text


def spelt(path: str) -> str:
    """A topology's path as people type it: the name, where it comes with the package."""
    file = Path(path)
    return file.stem if file.parent == folder() else path


def hint(text: str) -> str:
    """What somebody may have meant by a name that is none."""
    return did_you_mean(text, names()) or f"a path, or one of {', '.join(names())}"
