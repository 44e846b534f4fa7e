"""Each row of the flow table, traced through the planned rules of every node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cache

import pytest

from testbed.proxy.iptables import IptablesBackend
from testbed.proxy.iptables_restore import parse_tables
from testbed.proxy.tracer import Tracer
from tests.addresses import PLAN
from tests.flows import FLOWS, STATES, Flow, cluster
from tests.traced import Arrival, arrivals
from tests.unit.proxy.states import snapshot_of, table_of

BACKENDS = (IptablesBackend("nft"), IptablesBackend("legacy"))


@cache
def tracers(backend: IptablesBackend, state: str) -> Mapping[str, Tracer]:
    """A tracer per node over the text that would go to its kernel."""
    snapshot = snapshot_of(state)
    found = {}
    for node, ip in PLAN.nodes.items():
        want = backend.plan(table_of(snapshot, node))
        (command,) = backend.commands(None, want)
        found[node] = Tracer(parse_tables(command.stdin), {ip})
    return found


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_flow(flow: Flow, backend: IptablesBackend) -> None:
    found = arrivals(flow, PLAN, cluster(PLAN, flow.state), tracers(backend, flow.state))
    assert sum(one.probability for one in found) == pytest.approx(1.0), shown(found)
    if flow.answers:
        assert {one.who: one.source for one in found} == dict(flow.answers), shown(found)
        share = 1 / len(flow.answers)
        # Ten decimals of a probability, through a cascade.
        assert all(one.probability == pytest.approx(share, abs=1e-9) for one in found), shown(found)
    else:
        assert {one.who for one in found} == {flow.otherwise}, shown(found)


def shown(found: list[Arrival]) -> str:
    """What was predicted, with the rules that say so, for the reader of a failure."""
    return "\n".join(
        f"{one.probability:.4f} {one.who} sees {one.source}\n    " + "\n    ".join(one.rules)
        for one in found
    )


def test_every_row_has_a_name_of_its_own_and_says_what_happens() -> None:
    assert [name for name, n in Counter(flow.name for flow in FLOWS).items() if n > 1] == []
    assert [flow.name for flow in FLOWS if bool(flow.answers) == bool(flow.otherwise)] == []
    assert {flow.state for flow in FLOWS} <= set(STATES)
