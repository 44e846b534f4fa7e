"""The planned nftables rules in a real kernel: what is loaded is what was meant, whole and cut."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise, product
from pathlib import Path

import pytest

from testbed.command import Command
from testbed.proxy.nftables import NftablesBackend
from testbed.proxy.ruleset import Observed, Ruleset
from testbed.proxy.table import ForwardingTable, ProxyConfig, forwarding_table
from testbed.store import Create, Snapshot, Store
from tests.addresses import CLUSTER_CIDR, CLUSTER_CIDR6, PLAN, PLAN6, SERVICE_CIDR, SERVICE_CIDR6
from tests.flows import STATES, cluster, nodes

pytestmark = pytest.mark.lab

SMALL = 20_000
"""Bytes of a transaction: some ten chains."""

CONFIGS = {
    4: ProxyConfig(CLUSTER_CIDR, service_cidr=SERVICE_CIDR),
    6: ProxyConfig(CLUSTER_CIDR6, family=6, service_cidr=SERVICE_CIDR6),
}
PLANS = {4: PLAN, 6: PLAN6}
WHOLE = [
    pytest.param(NftablesBackend(4), id="IPv4"),
    pytest.param(NftablesBackend(6), id="IPv6"),
]
BACKENDS = [
    *WHOLE,
    pytest.param(NftablesBackend(4, max_transaction_bytes=SMALL), id="IPv4 cut"),
    pytest.param(NftablesBackend(6, max_transaction_bytes=SMALL), id="IPv6 cut"),
]
FOREIGN = (
    "table ip firewall { chain input { type filter hook input priority 0; tcp dport 22 accept; }; }"
)


def observed(
    backend: NftablesBackend, steps: Sequence[Sequence[Command]], folder: Path, first: str = ""
) -> list[Observed]:
    """Runs steps of commands in one fresh network namespace; what it holds after each."""
    lines = ["set -e", first]
    for number, commands in enumerate(steps):
        lines += [str(command) for command in commands]
        lines.append(f"{backend.observe()} > {shlex.quote(str(folder / str(number)))}")
    done = subprocess.run(
        ["unshare", "-Urnm", "bash", "-s"],
        input="\n".join(lines) + "\n",
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [backend.parse((folder / str(number)).read_text()) for number in range(len(steps))]


def observed_in_process(
    backend: NftablesBackend, steps: Sequence[Sequence[Command]], folder: Path
) -> tuple[list[Observed], int]:
    """The same as a lab does it: by netlink where it can. Also how many commands needed no process."""
    text = json.dumps([[[one.argv, one.stdin] for one in step] for step in steps])
    argv = ("unshare", "-Urnm", sys.executable, "-m", "tests.lab.nft_scenario", str(folder))
    done = subprocess.run(
        [*argv, *backend.observe().argv], input=text, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = [backend.parse((folder / str(number)).read_text()) for number in range(len(steps))]
    return found, int(done.stdout)


def unlike(seen: Observed, want: Ruleset) -> dict[str, tuple[object, object]]:
    """Blocks that differ, as (in the kernel, planned)."""
    (table,) = want.tables
    have, planned = seen.own.tables.get(table, {}), want.tables[table]
    return {
        name: (have.get(name), planned.get(name))
        for name in {*have, *planned}
        if have.get(name) != planned.get(name)
    }


def tour() -> list[str]:
    """Cluster states so ordered that each follows and precedes both the base and the empty one."""
    rounds = [(hub, state) for hub, state in product(("base", "nothing"), STATES)]
    return [state for pair in rounds for state in pair]


@cache
def snapshot(family: int, state: str) -> Snapshot:
    """A state of the flow table with the addresses of one family."""
    plan = PLANS[family]
    store = Store(lambda: 0.0)
    store.apply(Create(item) for item in (*nodes(plan), *cluster(plan, state)))
    return store.snapshot()


def tables(family: int, states: Sequence[str]) -> list[ForwardingTable]:
    """A table for each state, each derived from the one before."""
    found: list[ForwardingTable] = []
    for state in states:
        before = found[-1] if found else None
        found.append(forwarding_table(snapshot(family, state), CONFIGS[family], "n1", before))
    return found


def plans(backend: NftablesBackend, found: Sequence[ForwardingTable]) -> list[Ruleset]:
    """Rules for each table, each planned from the ones before."""
    planned: list[Ruleset] = []
    for table in found:
        planned.append(backend.plan(table, planned[-1] if planned else None))
    return planned


@pytest.mark.parametrize("backend", WHOLE)
def test_every_step_leads_to_the_rules_that_a_fresh_plan_has(
    backend: NftablesBackend, tmp_path: Path
) -> None:
    states = tour()
    found = tables(backend.family, states)
    stepwise = plans(backend, found)
    steps = [backend.commands(None, stepwise[0])]
    steps += [backend.commands(have, want) for have, want in pairwise(stepwise)]
    for state, seen, table in zip(states, observed(backend, steps, tmp_path), found, strict=True):
        assert not unlike(seen, backend.plan(table)), f"after {state}"


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_a_lab_sends_by_netlink_is_what_nft_would_have_sent(
    backend: NftablesBackend, tmp_path: Path
) -> None:
    states = tour()
    found = tables(backend.family, states)
    stepwise = plans(backend, found)
    steps = [backend.commands(None, stepwise[0])]
    steps += [backend.commands(have, want) for have, want in pairwise(stepwise)]
    seen, without_process = observed_in_process(backend, steps, tmp_path)
    for state, one, table in zip(states, seen, found, strict=True):
        assert not unlike(one, backend.plan(table)), f"after {state}"
    assert without_process > sum(map(len, steps)) / 2


@pytest.mark.parametrize("backend", BACKENDS)
def test_rules_read_back_from_a_kernel_lead_to_any_others(
    backend: NftablesBackend, tmp_path: Path
) -> None:
    """A restart: no memory of the plans before, only what the kernel says."""
    wanted = [backend.plan(table) for table in tables(backend.family, tour()[:12])]
    steps = [backend.commands(None, wanted[0])]
    steps += [backend.commands(Ruleset(dict(have.tables)), want) for have, want in pairwise(wanted)]
    for seen, want in zip(observed(backend, steps, tmp_path), wanted, strict=True):
        assert not unlike(seen, want)


def test_the_tables_of_others_are_theirs(tmp_path: Path) -> None:
    backend = NftablesBackend(4)
    first = f"nft '{FOREIGN}'"
    (want,) = plans(backend, tables(4, ["base"]))
    before, after = observed(backend, [[], backend.commands(None, want)], tmp_path, first)
    assert before.empty
    assert not unlike(after, want)
    assert "tcp dport 22 accept" in (tmp_path / "1").read_text()


def test_a_table_that_somebody_else_has_changed_becomes_ours_again(tmp_path: Path) -> None:
    backend = NftablesBackend(4)
    (want,) = plans(backend, tables(4, ["base"]))
    theirs = [
        Command(("nft", "-f", "-"), line)
        for line in (
            "add chain ip kube-proxy mine",
            "add rule ip kube-proxy mine counter accept",
            "flush chain ip kube-proxy services",
            "delete map ip kube-proxy service-nodeports",
            "add set ip kube-proxy hairpin-connections2 { type ipv4_addr ; }",
        )
    ]
    (seen,) = observed(backend, [[*backend.commands(None, want), *theirs]], tmp_path)
    assert seen.own != want
    steps = [[*backend.commands(None, want), *theirs, *backend.commands(seen.own, want)]]
    (after,) = observed(backend, steps, tmp_path)
    assert not unlike(after, want)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_set_that_is_declared_otherwise_is_made_anew(
    backend: NftablesBackend, tmp_path: Path
) -> None:
    (table,) = tables(backend.family, ["base"])
    ports = tuple(replace(e, affinity_s=e.affinity_s and e.affinity_s + 1) for e in table.ports)
    longer = backend.plan(replace(table, ports=ports))
    want = backend.plan(table, longer)
    steps = [
        backend.commands(None, longer),
        backend.commands(longer, want),
        backend.commands(Ruleset(dict(want.tables)), longer),
    ]
    assert not any("delete table" in command.stdin for step in steps for command in step)
    seen, _ = observed_in_process(backend, steps, tmp_path)
    for one, planned in zip(seen, (longer, want, longer), strict=True):
        assert not unlike(one, planned)
