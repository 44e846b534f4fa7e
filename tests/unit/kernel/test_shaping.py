"""A shape as qdiscs: what is hung where, and what of it the kernel says back."""

from __future__ import annotations

import pytest

from testbed.kernel.qdiscs import Netem, Pfifo, Placed, Qdisc, Tbf, found_on, set_qdisc
from testbed.kernel.shaping import stack
from testbed.model.shape import NOTHING, Shape

INDEX = 64
GBIT = 125_000_000
UNLIMITED = 125_000_000_000

STACKS: dict[str, tuple[Shape, dict[int, Qdisc]]] = {
    "a rate, with the queue of an interface": (
        Shape(rate_bps=1e9),
        {3: Tbf(GBIT, 1000), 4: Pfifo(1000)},
    ),
    "more than 32 bits can say, a short queue": (
        Shape(rate_bps=1e11, queue=5),
        {3: Tbf(100 * GBIT, 5), 4: Pfifo(5)},
    ),
    "delay and jitter on a line that keeps the order": (
        Shape(delay_s=0.02, jitter_s=0.001),
        {2: Netem(20_000_000, 1_000_000, 0, UNLIMITED, 100_000), 3: Tbf(UNLIMITED, 1000)},
    ),
    "half of the packets": (
        Shape(loss=0.5),
        {2: Netem(0, 0, 2**31, UNLIMITED, 100_000)},
    ),
    "nothing is the same places": (
        NOTHING,
        {2: Netem(0, 0, 0, UNLIMITED, 100_000), 4: Pfifo(1000)},
    ),
}


@pytest.mark.parametrize("name", STACKS)
def test_a_shape_is_a_stack_of_qdiscs(name: str) -> None:
    shape, wanted = STACKS[name]
    found = {one.major: one.qdisc for one in stack(shape, 1500, netem=True)}
    assert {major: found[major] for major in wanted} == wanted
    assert [one.same_place for one in stack(shape, 1500, netem=True)] == [
        (1, 0, Tbf),
        (2, 1, Netem),
        (3, 2, Tbf),
        (4, 3, Pfifo),
    ]


def test_a_kernel_without_netem_has_the_rest() -> None:
    places = [one.same_place for one in stack(Shape(rate_bps=1e6), 1500, netem=False)]
    assert places == [(1, 0, Tbf), (3, 1, Tbf), (4, 3, Pfifo)]


@pytest.mark.parametrize("shape", [Shape(rate_bps=1e9), Shape(loss=0.01), Shape(delay_s=0.1)])
def test_a_port_lets_no_less_than_a_frame_go(shape: Shape) -> None:
    frame_bytes = 9000 + 14
    buckets = [one.qdisc for one in stack(shape, 9000, netem=True) if isinstance(one.qdisc, Tbf)]
    assert all(bucket.burst_bytes >= frame_bytes for bucket in buckets)


@pytest.mark.parametrize(
    ("shape", "cuts"),
    [(Shape(rate_bps=1e9), True), (Shape(loss=0.01), True), (Shape(delay_s=0.1), False)],
)
def test_offloaded_packets_are_cut_where_frames_count(shape: Shape, cuts: bool) -> None:
    frames = stack(shape, 1500, netem=True)[0].qdisc
    assert isinstance(frames, Tbf)
    assert (frames.burst_bytes < 2 * 1500) is cuts


@pytest.mark.parametrize("name", STACKS)
def test_what_is_asked_reads_as_what_is_there(name: str) -> None:
    for placed in stack(STACKS[name][0], 1500, netem=True):
        found = found_on(INDEX, set_qdisc(INDEX, placed).payload)
        assert found is not None
        assert (found.placed, found.queued) == (placed, 0)


def test_other_interfaces_and_other_kinds_are_not_taken_for_ours() -> None:
    payload = set_qdisc(INDEX, Placed(4, 3, Pfifo(5))).payload
    assert found_on(INDEX + 1, payload) is None
    other = found_on(INDEX, payload.replace(b"pfifo\0", b"noque\0"))
    assert other is not None
    assert (other.kind, other.placed) == ("noque", None)
