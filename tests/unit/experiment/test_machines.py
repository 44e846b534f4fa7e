"""Which workers a run may use, and what it calls their machines."""

from __future__ import annotations

import pytest

from testbed.experiment.machines import (
    Terms,
    Worker,
    common_kernel,
    environments,
    machine_of,
    objection,
    spare,
)

KERNEL = {"carrier": "host", "release": "6.12.1", "version": "#1", "machine": "x86_64"}


def worker(name: str, host: str, boot_id: str = "", threads: int = 1, **kernel: str) -> Worker:
    environment = {"host": host, "kernel": KERNEL | kernel}
    return Worker(f"tcp://{name}", threads, boot_id or host, environment)


A = worker("a", "m1")


@pytest.mark.parametrize(
    ("new", "terms", "says"),
    [
        (worker("b", "m2"), Terms(True), ""),
        (worker("b", "m1"), Terms(True), ""),
        (worker("b", "m2", threads=4), Terms(False), ""),
        (worker("b", "m2", threads=4), Terms(True), "takes 4 tasks at a time"),
        (worker("b", "m1", "other"), Terms(False), "two machines called m1"),
        (worker("b", "m2", release="6.1.0"), Terms(False), "m1 has 6.12.1 .* m2 has 6.1.0"),
        (worker("b", "m2", version="#2"), Terms(False), "differ in their kernels"),
        (worker("b", "m2", release="6.1.0"), Terms(False, across=True), ""),
    ],
)
def test_a_worker_must_suit_those_that_are_there(new: Worker, terms: Terms, says: str) -> None:
    found = objection(new, [A], terms)
    if not says:
        assert found is None
        return
    with pytest.raises(type(found or ValueError), match=says):
        raise found or ValueError


def test_containers_on_one_kernel_are_one_machine() -> None:
    other = worker("b", "container", boot_id="m1")
    assert machine_of(other, [A, other]) == "m1"
    assert list(environments([A, other])) == ["m1"]


def test_where_times_are_measured_a_machine_has_one_worker_at_a_time() -> None:
    assert spare(worker("b", "m1"), [A], Terms(alone=True))
    assert not spare(worker("b", "m1"), [A], Terms(alone=False))
    assert not spare(worker("b", "m2"), [A], Terms(alone=True))


def test_kernels_that_differ_are_all_named() -> None:
    found = common_kernel([A, worker("b", "m2", release="6.1.0")])
    assert (found["release"], found["version"]) == ("6.12.1, 6.1.0", "#1")
