"""Our CNI plug-ins, called by a runtime that is not ours."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.lab.outer import ROOT, ordinary_world, root_world, run

pytestmark = pytest.mark.lab

PATH = f"{sysconfig.get_path('scripts')}:/usr/lib/cni"


@pytest.mark.parametrize("world", [root_world, ordinary_world])
@pytest.mark.parametrize("ipam", ["testbed-local", "host-local"])
@pytest.mark.parametrize("plugin", ["testbed-routed", "testbed-bridged"])
def test_they_do_what_the_specification_promises_to_any_runtime(
    plugin: str,
    ipam: str,
    world: Callable[[Sequence[str]], list[str]],
    shared_folder: Path,
) -> None:
    caller = [sys.executable, str(ROOT / "tests/lab/cni_caller.py"), PATH, plugin, ipam]
    # A user without privileges is root of one more world, which has links of its own.
    inner = ["unshare", "-Urnm", *caller] if world is ordinary_world else caller
    done = run(world(inner), shared_folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "all as specified\n", "")
