"""The accept log: a ring that outlives its writer."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from testbed.traffic.accept_log import CAPACITY, TCP, UDP, AcceptLog, read_accept_log


def test_rows_come_back_in_order(tmp_path: Path) -> None:
    log = AcceptLog(tmp_path / "log")
    log.record(10, "10.244.1.2", 40000)
    log.record(20, "10.244.1.3", 50000, UDP)
    log.record(30, "fd00:10:244:1::", 50001)
    accepted = read_accept_log(tmp_path / "log")
    assert accepted.lost == 0
    assert accepted.rows.to_dict("list") == {
        "t_ns": [10, 20, 30],
        "src_ip": ["10.244.1.2", "10.244.1.3", "fd00:10:244:1::"],
        "src_port": [40000, 50000, 50001],
        "protocol": [TCP, UDP, TCP],
    }


def test_a_restarted_server_goes_on(tmp_path: Path) -> None:
    AcceptLog(tmp_path / "log").record(10, "10.0.0.1", 1)
    AcceptLog(tmp_path / "log").record(20, "10.0.0.1", 2)
    assert read_accept_log(tmp_path / "log").rows["src_port"].tolist() == [1, 2]


@pytest.mark.parametrize("extra", [0, 1, 7])
def test_a_full_ring_keeps_the_newest_and_says_how_many_are_lost(
    tmp_path: Path, extra: int
) -> None:
    log = AcceptLog(tmp_path / "log")
    for number in range(CAPACITY + extra):
        log.record(number, "10.0.0.1", number & 0xFFFF)
    accepted = read_accept_log(tmp_path / "log")
    assert accepted.lost == extra
    assert accepted.rows["t_ns"].tolist() == list(range(extra, CAPACITY + extra))


def test_a_killed_writer_loses_nothing(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        log = AcceptLog(tmp_path / "log")
        for number in range(1000):
            log.record(number, "10.0.0.1", number)
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert len(read_accept_log(tmp_path / "log").rows) == 1000


def test_another_file_is_not_an_accept_log(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("something else")
    with pytest.raises(ValueError, match="not an accept log"):
        read_accept_log(tmp_path / "log")
