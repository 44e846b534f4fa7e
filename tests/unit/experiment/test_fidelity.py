"""What the host took from a trial."""

from __future__ import annotations

from testbed.experiment import fidelity

STAT = "cpu  100 0 50 800 0 0 10 {steal} 7 0\ncpu0 1 2 3 4 5 6 7 8 9 0\n"
PRESSURE = "some avg10=0.37 avg60=0.93 avg300=0.76 total={total}\nfull avg10=0.00 total=0\n"
SCHEDSTAT = "version 15\ncpu0 0 0 0 0 0 0 500 {wait} 3\ncpu1 0 0 0 0 0 0 500 {wait} 3\n"


def signals(t_ns: int, steal: int, total: int, wait: int) -> fidelity.HostSignals:
    return fidelity.parse(
        t_ns,
        STAT.format(steal=steal),
        PRESSURE.format(total=total),
        SCHEDSTAT.format(wait=wait),
    )


def test_shares_are_of_the_time_between_two_readings() -> None:
    before, after = signals(0, 40, 1_000, 0), signals(2_000_000_000, 80, 501_000, 100_000_000)
    assert fidelity.between(before, after) == {
        "steal_share": 1.0,  # nothing but steal went by
        "cpu_pressure_share": 0.25,
        "run_delay_share": 0.1,
    }


def test_what_this_kernel_does_not_keep_is_none_and_not_zero() -> None:
    blind = fidelity.parse(0, STAT.format(steal=1), "", "")
    found = fidelity.between(blind, blind)
    assert found == {"steal_share": 0.0, "cpu_pressure_share": None, "run_delay_share": None}


def test_this_machine_can_be_read() -> None:
    before, after = fidelity.read(), fidelity.read()
    assert after.total_ticks >= before.total_ticks > 0
