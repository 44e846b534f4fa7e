"""When syncs happen, in kube-proxy's rhythm."""

from __future__ import annotations

from testbed.proxy.pace import Pace, Periods

IDLE = Pace(Periods(min_sync_period_s=1.0, sync_period_s=30.0, max_interval_s=3600.0))
RAN = IDLE.queued(5.0).started().ended(10.0, failed=False)
FAILED = IDLE.queued(5.0).started().ended(10.0, failed=True)


def test_nothing_is_due_before_the_first_change() -> None:
    assert IDLE.due_s() is None


def test_the_first_change_is_due_at_once() -> None:
    assert IDLE.queued(5.0).due_s() == 5.0


def test_a_change_after_a_pause_is_due_at_once() -> None:
    assert RAN.queued(20.0).due_s() == 20.0


def test_a_change_soon_after_a_run_waits_from_the_end_of_that_run() -> None:
    assert RAN.queued(10.25).due_s() == 11.0


def test_more_changes_do_not_put_a_run_off() -> None:
    assert RAN.queued(10.25).queued(10.5).queued(10.75).due_s() == 11.0


def test_a_change_during_a_run_is_due_after_it() -> None:
    assert IDLE.queued(5.0).started().queued(6.0).ended(10.0, failed=False).due_s() == 11.0


def test_without_changes_a_run_is_due_after_the_longest_interval() -> None:
    assert RAN.due_s() == 3610.0


def test_a_failed_run_is_due_again_after_the_sync_period() -> None:
    assert FAILED.due_s() == 40.0


def test_a_change_after_a_failed_run_does_not_wait_for_the_sync_period() -> None:
    assert FAILED.queued(10.5).due_s() == 11.0
