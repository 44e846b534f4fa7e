"""IPVS rules in a guest kernel: run there as its root, it prints a JSON object of what it saw.

A tour goes from cluster state to cluster state in one namespace, and says where what is read back is not what
was planned. That any state leads to any other is the unit tests' part.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

from testbed.command import Command
from testbed.kernel import netns
from testbed.kernel.run import run
from testbed.proxy.ipvs import IpvsBackend
from testbed.proxy.ruleset import Ruleset
from testbed.proxy.table import forwarding_table
from tests.tracers import config_of, dual_stack_snapshot

FOREIGN_RULE = (
    "iptables-legacy",
    "-t",
    "nat",
    "-A",
    "POSTROUTING",
    "-s",
    "10.9.0.0/16",
    "-j",
    "ACCEPT",
)
SOME_STATES = ["base", "policies turned", "protocol changed", "nothing", "ranges turned"]
"""Those that change what kinds of things there are: a program costs a guest 40 times what it costs a host."""
MANY_STATES = [
    *("nothing", "base", "one withdrawn", "scaled up", "all withdrawn", "service deleted"),
    *("made sticky", *SOME_STATES, "base"),
]
FOREIGN_SET = ("ipset", "create", "SOMEBODYS", "hash:ip")


def planned(backend: IpvsBackend, state: str, profile: str) -> Ruleset:
    """The plan of node n1 in a state of the flow table."""
    config = config_of(backend.family, profile)
    return backend.plan(forwarding_table(dual_stack_snapshot(state), config, "n1"))


def tour(family: int, profile: str, states: list[str]) -> dict[str, object]:
    """Where reading back after a difference was not the plan."""
    backend = IpvsBackend("rr", "legacy", family)
    wrong: dict[str, list[str]] = {}
    seen = backend.parse(run(backend.observe()).stdout)
    empty = seen.empty
    have: Ruleset | None = None
    for number, state in enumerate(states):
        want = planned(backend, state, profile)
        for command in backend.commands(have, want):
            run(command)
        have = replace(want, lingering=backend.lingering(have, want))
        seen = backend.parse(run(backend.observe()).stdout)
        keys = differing(seen.own, want)
        if keys or seen.foreign or seen.own.lingering != have.lingering:
            wrong[f"{number} {state}"] = keys
    return {"empty": empty, "wrong": wrong}


def differing(seen: Ruleset, want: Ruleset) -> list[str]:
    """Keys whose lines differ, with their tables."""
    return [
        f"{table} {key}: {seen.tables[table].get(key)} for {want.tables[table].get(key)}"
        for table in want.tables
        for key in sorted({*seen.tables[table], *want.tables[table]})
        if seen.tables[table].get(key) != want.tables[table].get(key)
    ]


def beside_others() -> dict[str, object]:
    """A node that is somebody else's, too, and both families' proxies on it."""
    for argv in (FOREIGN_RULE, FOREIGN_SET):
        subprocess.run(argv, check=True)
    found: dict[str, object] = {}
    backends = [IpvsBackend("rr", "legacy", family) for family in (4, 6)]
    wants = [planned(backend, "base", "kube-proxy-1.36") for backend in backends]
    for backend, want in zip(backends, wants, strict=True):
        seen = backend.parse(run(backend.observe()).stdout)
        found[f"foreign {backend.family}"] = seen.foreign
        for command in backend.commands(seen.own, want):
            run(command)
    for backend, want in zip(backends, wants, strict=True):
        seen = backend.parse(run(backend.observe()).stdout)
        found[f"wrong {backend.family}"] = differing(seen.own, want)
    rules = run(Command(("iptables-legacy-save", "-t", "nat"))).stdout
    found["kept"] = "10.9.0.0/16" in rules
    return found


def main(what: str) -> None:
    """One scenario in a namespace of its own."""
    with netns.entered(netns.create()):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        if what == "tour":
            found = tour(4, "kube-proxy-1.36", MANY_STATES)
        elif what == "tour6":
            found = tour(6, "kube-proxy-1.36", SOME_STATES)
        elif what == "documented":
            found = tour(4, "documented", SOME_STATES)
        else:
            found = beside_others()
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
