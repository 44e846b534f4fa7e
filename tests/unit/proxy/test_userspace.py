"""The userspace back end over the cluster states: determinism, path independence, idempotence, order."""

from __future__ import annotations

import pytest

from testbed.command import Command
from testbed.errors import OutOfTimeOrRoom, TestbedError
from testbed.proxy import userspace_table
from testbed.proxy.ruleset import Observed, Ruleset
from testbed.proxy.table import ForwardingTable, forwarding_table
from testbed.proxy.userspace import UserspaceBackend
from testbed.proxy.userspace_ports import FIRST_PORT, LAST_PORT, listen_ports
from testbed.proxy.userspace_table import PROCESS, SECTION, Listener, listener, rules
from tests.flows import PROFILES, STATES
from tests.tracers import config_of, dual_stack_snapshot
from tests.unit.proxy.restore_interpreter import apply, as_text, empty_tables

BACKENDS = pytest.mark.parametrize(
    "backend",
    [
        UserspaceBackend("nft"),
        UserspaceBackend("nft", max_rules_per_transaction=12),
        UserspaceBackend("legacy", family=6),
    ],
    ids=["whole", "chunked", "IPv6"],
)
EVERY_PROFILE = pytest.mark.parametrize("profile", PROFILES)


class Node:
    """A node's kernel and its process, which understand what the back end says."""

    def __init__(self) -> None:
        self.tables = empty_tables()
        self.sockets: dict[str, str] = {}
        """By socket, the listener that it serves."""
        self.listeners: dict[str, Listener] = {}

    def run(self, commands: list[Command]) -> None:
        for command in commands:
            if command.argv == (PROCESS, "set"):
                for one in userspace_table.listeners(command.stdin):
                    self.listeners[one.name] = one
                    self.sockets[one.socket] = one.name
            elif command.argv == (PROCESS, "close"):
                for text in command.stdin.splitlines():
                    name = self.sockets.pop(text)
                    if self.listeners[name].socket == text:
                        del self.listeners[name]
            else:
                self.tables, _ = apply(self.tables, [command])
            self.check()

    def check(self) -> None:
        """No rule leads to a socket that is not open: its clients would be refused."""
        for chains in self.tables["nat"].values():
            for rule in chains:
                if "--to-destination" in rule:
                    protocol = rule.partition("-p ")[2].split()[0]
                    assert f"{protocol} {rule.rpartition(' ')[2]}" in self.sockets, rule

    def observed(self, backend: UserspaceBackend) -> Observed:
        table = userspace_table.saved(self.listeners[name] for name in sorted(self.listeners))
        return backend.parse(table + as_text(self.tables))


def table_for(
    state: str, backend: UserspaceBackend, profile: str, before: ForwardingTable | None = None
) -> ForwardingTable:
    config = config_of(backend.family, profile)
    return forwarding_table(dual_stack_snapshot(state), config, "n1", before)


def plan(backend: UserspaceBackend, state: str, profile: str) -> Ruleset:
    return backend.plan(table_for(state, backend, profile))


def kept(ruleset: Ruleset) -> dict[str, dict[str, tuple[str, ...]]]:
    """Tables with what is in them, as plain values."""
    return {name: dict(chains) for name, chains in ruleset.tables.items()}


@BACKENDS
@EVERY_PROFILE
@pytest.mark.parametrize("state", STATES)
def test_a_plan_depends_on_its_state_alone(
    state: str, profile: str, backend: UserspaceBackend
) -> None:
    fresh = plan(backend, state, profile)
    for before in ("base", state):
        earlier = table_for(before, backend, profile)
        table = table_for(state, backend, profile, earlier)
        planned = backend.plan(table, backend.plan(earlier))
        assert planned == fresh
        assert str(backend.commands(None, planned)) == str(backend.commands(None, fresh))


@BACKENDS
@EVERY_PROFILE
@pytest.mark.parametrize("before", STATES)
def test_a_difference_applied_to_one_state_gives_the_other(
    before: str, profile: str, backend: UserspaceBackend
) -> None:
    for after in ("base", "one withdrawn"):
        have, want = plan(backend, before, profile), plan(backend, after, profile)
        node = Node()
        node.run(backend.commands(None, have))
        assert kept(node.observed(backend).own) == kept(have)
        node.run(backend.commands(have, want))
        assert kept(node.observed(backend).own) == kept(want)
        assert backend.commands(node.observed(backend).own, want) == []


def test_a_change_of_endpoints_touches_no_rule() -> None:
    backend = UserspaceBackend("nft")
    have, want = plan(backend, "base", PROFILES[0]), plan(backend, "one withdrawn", PROFILES[0])
    (command,) = backend.commands(have, want)
    assert command.argv == (PROCESS, "set")


def test_a_process_without_memory_is_told_everything_and_the_rules_stay() -> None:
    backend = UserspaceBackend("nft")
    want = plan(backend, "base", PROFILES[0])
    node = Node()
    node.run(backend.commands(None, want))
    node.listeners, node.sockets = {}, {}
    seen = node.observed(backend)
    assert not seen.empty
    (command,) = backend.commands(seen.own, want)
    assert len(userspace_table.listeners(command.stdin)) == len(want.tables[SECTION])


def test_names_that_meet_at_a_port_step_aside_whoever_came_first() -> None:
    names = [f"default/service-{number}:http/tcp" for number in range(9_000)]
    ports = listen_ports(names)
    assert ports == listen_ports(reversed(names))
    assert len(set(ports.values())) == len(names)
    assert min(ports.values()) >= FIRST_PORT
    assert max(ports.values()) <= LAST_PORT
    moved = [name for name, port in listen_ports(names[1:]).items() if ports[name] != port]
    assert len(moved) < 10


def test_more_service_ports_than_there_is_room_for_are_an_error() -> None:
    with pytest.raises(OutOfTimeOrRoom, match="10001 service ports"):
        listen_ports(map(str, range(10_001)))


@pytest.mark.parametrize(
    "made",
    [
        Listener("ns/web:http/tcp", "tcp", "192.0.2.11:13412", ("10.0.0.1:80", "10.0.0.2:80"), 30),
        Listener("ns/web:http/tcp", "tcp", "[fd00::1]:13412", ("[fd00::2]:80",)),
        Listener("ns/dns/udp/local", "udp", "192.0.2.11:13412", ()),
    ],
)
def test_a_listener_is_read_as_it_is_written(made: Listener) -> None:
    assert listener(made.name, rules(made)) == made
    assert userspace_table.listeners(userspace_table.saved([made])) == [made]


def test_a_line_that_is_not_understood_is_an_error() -> None:
    with pytest.raises(TestbedError, match="--weight 3"):
        listener("ns/web/tcp", ["-A ns/web/tcp --weight 3"])
