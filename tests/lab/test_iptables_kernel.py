"""The planned rules in a real kernel: what is restored is what was meant, in both variants."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from itertools import pairwise, product
from pathlib import Path

import pytest

from testbed.command import Command
from testbed.proxy.iptables import IptablesBackend
from testbed.proxy.ruleset import Observed
from tests.flows import STATES
from tests.unit.proxy.states import snapshot_of, table_of

pytestmark = pytest.mark.lab

BACKENDS = (
    IptablesBackend("nft"),
    IptablesBackend("nft", max_rules_per_transaction=20),
    IptablesBackend("legacy"),
)
FOREIGN_RULE = "-s 10.244.0.0/16 -j MASQUERADE"


def observed(
    backend: IptablesBackend, steps: Sequence[Sequence[Command]], folder: Path, first: str = ""
) -> list[Observed]:
    """Runs steps of commands in one fresh network namespace; what it holds after each."""
    lines = ["set -e", first]
    for number, commands in enumerate(steps):
        lines += [str(command) for command in commands]
        lines.append(f"{backend.observe()} > {shlex.quote(str(folder / str(number)))}")
    subprocess.run(
        ["unshare", "-Urnm", "bash", "-s"],
        input="\n".join(lines) + "\n",
        env={**os.environ, "XTABLES_LOCKFILE": str(folder / "lock")},
        check=True,
        capture_output=True,
        text=True,
    )
    return [backend.parse((folder / str(number)).read_text()) for number in range(len(steps))]


def tour() -> list[str]:
    """Cluster states so ordered that each follows and precedes both the base and the empty one."""
    rounds = [(hub, state) for hub, state in product(("base", "nothing"), STATES)]
    return [state for pair in rounds for state in pair]


@pytest.mark.parametrize("backend", BACKENDS, ids=["nft", "nft-chunked", "legacy"])
def test_every_difference_leads_to_the_rules_that_were_planned(
    backend: IptablesBackend, tmp_path: Path
) -> None:
    states = tour()
    plans = [backend.plan(table_of(snapshot_of(state))) for state in states]
    steps = [backend.commands(None, plans[0])]
    steps += [backend.commands(have, want) for have, want in pairwise(plans)]
    for state, seen, want in zip(states, observed(backend, steps, tmp_path), plans, strict=True):
        assert seen.own == want, f"after {state}"
        assert not seen.foreign, f"after {state}"


@pytest.mark.parametrize("backend", BACKENDS, ids=["nft", "nft-chunked", "legacy"])
def test_the_rules_of_others_survive_in_a_kernel(backend: IptablesBackend, tmp_path: Path) -> None:
    first = f"iptables-{backend.variant} -t nat -A POSTROUTING {FOREIGN_RULE}"
    (before,) = observed(backend, [[]], tmp_path, first)
    assert before.foreign
    want = backend.plan(table_of(snapshot_of("base")))
    (after,) = observed(backend, [backend.commands(before.own, want)], tmp_path, first)
    assert after.foreign
    assert after.own == want
    assert FOREIGN_RULE in (tmp_path / "0").read_text()


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_a_fresh_namespace_is_seen_to_be_empty(variant: str, tmp_path: Path) -> None:
    backend = IptablesBackend("nft" if variant == "nft" else "legacy")
    (seen,) = observed(backend, [[]], tmp_path)
    assert seen.empty
