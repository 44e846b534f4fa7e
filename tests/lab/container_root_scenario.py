"""In mount namespaces of its own: containers' roots are made while somebody fills and empties a folder that is
shown in them entry by entry.

`python container_root_scenario.py ROOTS` prints what went wrong, a line each.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from testbed.kernel import netns
from testbed.runtime import container_root
from testbed.sandbox.world import mount, private_mounts

FOLDER = Path("/mnt")
"""A mount is below, and so what else is in it is shown by itself."""
_ENTRIES = 50


def churn() -> None:
    """Make and remove folders, files and links, until the end."""
    while True:
        for number in range(_ENTRIES):
            (FOLDER / f"folder-{number}").mkdir()
            (FOLDER / f"file-{number}").touch()
            (FOLDER / f"link-{number}").symlink_to("nowhere")
        for number in range(_ENTRIES):
            (FOLDER / f"folder-{number}").rmdir()
            (FOLDER / f"file-{number}").unlink()
            (FOLDER / f"link-{number}").unlink()


def make_root(scratch: Path, avoid: Path) -> str:
    """What is wrong with it, or ""."""
    scratch.mkdir()
    said, say = os.pipe()
    if os.fork() == 0:
        netns.unshare(netns.CLONE_NEWNS | netns.CLONE_NEWPID)
        if os.fork() == 0:
            try:
                private_mounts()
                container_root.enter(scratch, str(avoid), [])
            except OSError as error:
                os.write(say, str(error).encode())
        else:
            os.wait()
        os._exit(0)
    os.close(say)
    os.wait()
    with os.fdopen(said) as text:
        return text.read()


def main() -> None:
    """Make so many roots."""
    private_mounts()
    mount("tmpfs", str(FOLDER), "tmpfs")
    avoid = FOLDER / "own" / "lab"
    for folder in (FOLDER / "own", avoid):
        folder.mkdir()
        mount("tmpfs", str(folder), "tmpfs")
    if (churning := os.fork()) == 0:
        churn()
    try:
        for number in range(int(sys.argv[1])):
            if wrong := make_root(avoid / str(number), avoid):
                print(wrong)
    finally:
        os.kill(churning, signal.SIGKILL)


if __name__ == "__main__":
    main()
