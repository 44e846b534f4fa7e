"""Many pods in one pass go where they would go one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from testbed.controllers.scheduler import reconcile
from testbed.model.objects.pods import Pod
from testbed.store import Create
from tests.unit.controllers.cluster import node, pod, stored

ZONES = ("a", "b")


@given(
    st.lists(st.sampled_from(ZONES), min_size=1, max_size=6),
    st.lists(st.sampled_from(("", *ZONES)), max_size=12),
    st.lists(st.integers(0, 5), max_size=6),
)
def test_in_one_pass_as_one_by_one(zones: list[str], wanted: list[str], placed: list[int]) -> None:
    nodes = [node(f"n{number}", {"zone": zone}) for number, zone in enumerate(zones)]
    there = [
        pod(f"old-{number}", node_name=f"n{at % len(nodes)}") for number, at in enumerate(placed)
    ]
    waiting = [
        pod(f"new-{number}", node_selector={"zone": zone} if zone else {})
        for number, zone in enumerate(wanted)
    ]
    at_once = stored(*nodes, *there, *waiting)
    at_once.apply(reconcile(at_once.snapshot(), 0.0)[0])
    in_turn = stored(*nodes, *there)
    for one in waiting:
        in_turn.apply([Create(one)])
        in_turn.apply(reconcile(in_turn.snapshot(), 0.0)[0])
    for one in waiting:
        name = one.meta.name
        mine, other = (store.get(Pod, "default", name) for store in (at_once, in_turn))
        assert (mine.spec, mine.status) == (other.spec, other.status)
