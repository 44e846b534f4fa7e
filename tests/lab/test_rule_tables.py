"""Whether there are any rules, told without starting a tool: never nothing where the tool prints something."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.lab.outer import ROOT
from tests.lab.test_iptables_kernel import SANDBOX

pytestmark = pytest.mark.lab

OBSERVERS = {
    "nft IPv4": ["nft", "-s", "-y", "list", "ruleset", "ip"],
    "nft IPv6": ["nft", "-s", "-y", "list", "ruleset", "ip6"],
    "iptables-nft": ["iptables-nft-save"],
    "ip6tables-nft": ["ip6tables-nft-save"],
    "iptables-legacy": ["iptables-legacy-save"],
    "ip6tables-legacy": ["ip6tables-legacy-save"],
}
PROGRAM = """
import json, subprocess, sys
from testbed.command import Command
from testbed.kernel.run import IN_PROCESS, run
found = {}
for name, argv in json.loads(sys.argv[1]).items():
    told = IN_PROCESS[tuple(argv)]("")
    printed = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert run(Command(tuple(argv))).stdout.splitlines()[2:] == printed.splitlines()[2:]  # but for dates
    found[name] = (told, bool(printed))
print(json.dumps(found))
"""
STATES: list[tuple[str, str, set[str]]] = [
    ("nothing", "true", set()),
    ("a table of IPv4", "nft add table ip any", {"nft IPv4", "iptables-nft"}),
    ("a table of IPv6", "nft add table ip6 any", {"nft IPv6", "ip6tables-nft"}),
    ("a table of both", "nft add table inet any", set()),
    (
        "a rule of iptables-nft",
        "iptables-nft -t nat -A POSTROUTING -j MASQUERADE",
        {"nft IPv4", "iptables-nft"},
    ),
    (
        "a rule of iptables-legacy",
        "iptables-legacy -t nat -A POSTROUTING -j MASQUERADE",
        {"iptables-legacy"},
    ),
    ("a rule of ip6tables-legacy", "ip6tables-legacy -A INPUT -j DROP", {"ip6tables-legacy"}),
]


@pytest.mark.parametrize(("name", "before", "held"), STATES, ids=[row[0] for row in STATES])
def test_nothing_is_told_only_where_there_is_nothing(
    name: str, before: str, held: set[str]
) -> None:
    script = f'{before} && exec "$@"'
    argv = [
        *SANDBOX,
        "sh",
        "-c",
        script,
        "sh",
        sys.executable,
        "-c",
        PROGRAM,
        json.dumps(OBSERVERS),
    ]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "XTABLES_LOCKFILE": "/dev/null"}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {who for who, (told, _) in found.items() if told is None} >= held
    assert {who for who, (told, printed) in found.items() if told == "" and printed} == set()
    assert found["nft IPv4"][0] == (None if "nft IPv4" in held else "")
