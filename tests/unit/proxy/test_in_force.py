"""Who waits for a version is told when it is in force, and not before."""

from __future__ import annotations

from testbed.proxy.in_force import InForce


def after(*steps: tuple[str, int, int]) -> InForce:
    """heard (version, how many concern us), taking, programmed (version)."""
    state = InForce()
    for kind, version, concerns in steps:
        match kind:
            case "heard":
                state.heard(version, concerns)
            case "taking":
                state.taking()
            case _:
                state.programmed(version)
    return state


def test_nothing_is_in_force_before_the_first_sync() -> None:
    assert not after(("heard", 5, 0)).holds(0)


def test_what_concerns_nobody_needs_no_sync() -> None:
    state = after(("taking", 0, 0), ("done", 5, 0), ("heard", 9, 0))
    assert state.holds(9)
    assert not state.holds(10)


def test_what_concerns_us_does() -> None:
    state = after(("taking", 0, 0), ("done", 5, 0), ("heard", 7, 1), ("heard", 9, 0))
    assert state.holds(5)
    assert not state.holds(6)


def test_what_comes_during_a_sync_is_not_in_it() -> None:
    state = after(("taking", 0, 0), ("heard", 7, 1), ("done", 5, 0))
    assert not state.holds(7)


def test_a_change_that_overtook_is_in_force_with_those_it_overtook() -> None:
    """Version 12 comes before 11, which concerns nobody here: after the sync both are in force."""
    state = after(("heard", 10, 1), ("taking", 0, 0), ("done", 10, 0))
    assert not state.holds(12)
    state.heard(12, 0)
    assert state.holds(12)
