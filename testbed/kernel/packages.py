"""The Debian and Ubuntu packages that testbed uses: which there are, and which this host lacks."""

from __future__ import annotations

import subprocess
from pathlib import Path

import testbed


def listing() -> Path:
    """The file that names them: in the installed package, or in the checkout."""
    package = Path(testbed.__file__).parent
    installed = package / "_about" / "packages.txt"
    return installed if installed.is_file() else package.parent / "scripts" / "packages.txt"


def wanted(text: str) -> tuple[str, ...]:
    """The packages that a listing names, without those that only another target needs."""
    rows = [line.partition("#")[0].split() for line in text.splitlines()]
    return tuple(row[0] for row in rows if len(row) == 1)


def missing() -> tuple[str, ...]:
    """Those that are not installed; none where the host does not know of Debian packages."""
    names = wanted(listing().read_text(encoding="utf-8"))
    try:
        done = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *names],
            capture_output=True,
            text=True,
            check=False,  # 1: it has never heard of some of them
        )
    except FileNotFoundError:
        return ()
    return absent(names, done.stdout)


def absent(names: tuple[str, ...], answer: str) -> tuple[str, ...]:
    """Those of the packages that dpkg-query does not say are installed."""
    installed = {line.removesuffix(" installed") for line in answer.splitlines()}
    return tuple(name for name in names if name not in installed)
