"""What the host took from a trial."""

from __future__ import annotations

from testbed.experiment import fidelity, node_signals
from testbed.experiment.node_signals import NodeSignals

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


def test_without_the_kernel_s_sum_the_tasks_that_live_are_added_up() -> None:
    before = fidelity.parse(0, STAT.format(steal=0), "", "", {"7": 100, "8": 900, "9": 5})
    after = fidelity.parse(1_000, STAT.format(steal=0), "", "", {"7": 300, "8": 900, "10": 50})
    assert fidelity.between(before, after)["run_delay_share"] == 0.25


NODE = """\
/proc/net/dev:Inter-|   Receive                            |  Transmit
/proc/net/dev: face |bytes    packets errs drop fifo frame compressed multicast|bytes
/proc/net/dev:    lo: 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
/proc/net/dev:  eth0: 9178160 10000 0 {rx} 0 0 0 0 11000000 10000 0 {tx} 0 0 0 0
/proc/net/softnet_stat:00dc2269 {cpu} 00000001 00000000
/proc/net/softnet_stat:0107ee36 00000000 0000000a 00000000
/proc/sys/net/netfilter/nf_conntrack_count:{entries}
/proc/sys/net/netfilter/nf_conntrack_max:65536
"""


def node(rx: int = 0, tx: int = 0, cpu: str = "00000000", entries: int = 0) -> NodeSignals:
    return node_signals.parse(NODE.format(rx=rx, tx=tx, cpu=cpu, entries=entries))


def test_drops_are_of_all_nodes_and_the_backlog_of_one_kernel() -> None:
    before = {"n1": node(rx=1), "n2": node(cpu="00000001")}
    after = {
        "n1": node(rx=4, tx=2, cpu="00000010", entries=32768),
        "n2": node(tx=1, cpu="00000011", entries=5),
    }
    assert node_signals.between(before, after) == {
        "softnet_dropped": 16,
        "softnet_squeezed": 0,
        "link_dropped": 6,
        "conntrack_fill_share": 0.5,
    }


def test_a_node_that_tells_nothing_is_none_and_not_zero() -> None:
    silent = {"n1": node_signals.parse("")}
    assert set(node_signals.between(silent, silent).values()) == {None}
    assert set(node_signals.between({}, {}).values()) == {None}
