"""The planned rules in a real kernel: what is restored is what was meant, in both variants and families."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from itertools import pairwise, product
from pathlib import Path

import pytest

from testbed.command import Command
from testbed.lab.backends import NFT_RULES_IN_USER_NAMESPACE, rules_per_transaction
from testbed.proxy.iptables import IptablesBackend
from testbed.proxy.ruleset import Observed, Ruleset
from testbed.proxy.table import forwarding_table
from tests.flows import PROFILES, STATES
from tests.tracers import config_of, dual_stack_snapshot

pytestmark = pytest.mark.lab

ROOT = os.geteuid() == 0
LARGE = rules_per_transaction() if ROOT else NFT_RULES_IN_USER_NAMESPACE
"""How much this user may put into one transaction of nft, in the namespaces below."""
SANDBOX = ("unshare", "-nm") if ROOT else ("unshare", "-Ur", "unshare", "-nm")
"""Two steps: /proc/net/ip_tables_names is for whom 0 stood for when the network namespace was made."""
BACKENDS = pytest.mark.parametrize(
    "backend",
    [
        IptablesBackend("nft", LARGE),
        IptablesBackend("nft", max_rules_per_transaction=20),
        IptablesBackend("legacy"),
        IptablesBackend("nft", LARGE, family=6),
        IptablesBackend("legacy", family=6),
    ],
    ids=["nft", "nft-chunked", "legacy", "IPv6-nft", "IPv6-legacy"],
)
FOREIGN_RULE = "-o eth9 -j MASQUERADE"


def plan(backend: IptablesBackend, state: str) -> Ruleset:
    """The rules of node n1."""
    config = config_of(backend.family, PROFILES[0])
    return backend.plan(forwarding_table(dual_stack_snapshot(state), config, "n1"))


def observed(
    backend: IptablesBackend, steps: Sequence[Sequence[Command]], folder: Path, first: str = ""
) -> list[Observed]:
    """Runs steps of commands in one fresh network namespace; what it holds after each."""
    lines = ["set -e", first]
    for number, commands in enumerate(steps):
        lines += [str(command) for command in commands]
        lines.append(f"{backend.observe()} > {shlex.quote(str(folder / str(number)))}")
    subprocess.run(
        [*SANDBOX, "bash", "-s"],
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


@BACKENDS
def test_every_difference_leads_to_the_rules_that_were_planned(
    backend: IptablesBackend, tmp_path: Path
) -> None:
    states = tour()
    plans = [plan(backend, state) for state in states]
    steps = [backend.commands(None, plans[0])]
    steps += [backend.commands(have, want) for have, want in pairwise(plans)]
    for state, seen, want in zip(states, observed(backend, steps, tmp_path), plans, strict=True):
        assert seen.own == want, f"after {state}"
        assert not seen.foreign, f"after {state}"


@BACKENDS
def test_the_rules_of_others_survive_in_a_kernel(backend: IptablesBackend, tmp_path: Path) -> None:
    tool = "iptables" if backend.family == 4 else "ip6tables"
    first = f"{tool}-{backend.variant} -t nat -A POSTROUTING {FOREIGN_RULE}"
    (before,) = observed(backend, [[]], tmp_path, first)
    assert before.foreign
    want = plan(backend, "base")
    (after,) = observed(backend, [backend.commands(before.own, want)], tmp_path, first)
    assert after.foreign
    assert after.own == want
    assert FOREIGN_RULE in (tmp_path / "0").read_text()


@BACKENDS
def test_a_fresh_namespace_is_seen_to_be_empty(backend: IptablesBackend, tmp_path: Path) -> None:
    (seen,) = observed(backend, [[]], tmp_path)
    assert seen.empty
