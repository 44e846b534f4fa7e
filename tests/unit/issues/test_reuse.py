"""What kept connections and ports that come back met."""

from __future__ import annotations

from typing import Any

from testbed.issues.reuse import cut, delayed, to_the_gone

GONE, OTHER = "draining-0", "draining-1"


def test_a_kept_connection_that_breaks() -> None:
    fine = [[1, GONE, ""], [11, GONE, ""], [12, GONE, ""]]
    assert (cut(fine, GONE, 10)["attempts"], cut(fine, GONE, 10)["shown"]) == (1, 0)
    broken = cut([[1, GONE, ""], [11, "", "reset"]], GONE, 10)
    assert (broken["shown"], broken["example"]) == (1, f"The connection to {GONE} broke: reset")
    assert cut([], GONE, 10)["attempts"] == 0
    assert cut(fine[:1], GONE, 10)["attempts"] == 0


def row(at_ns: int, port: int, who: str = OTHER, *, error: str = "", again: int = 0) -> list[Any]:
    return [at_ns, port, "" if error else who, error, again]


def test_only_a_port_s_second_connection_counts_as_one_that_comes_back() -> None:
    rows = [row(1, 20001, again=1), row(2, 20001), row(3, 20002), row(4, 20001, error="refused")]
    seen = delayed(rows, [])
    assert (seen["attempts"], seen["shown"]) == (1, 0)


def test_what_is_sent_twice_without_a_service_is_not_the_service_s_doing() -> None:
    rows = [row(1, 20001), row(2, 20001, again=1), row(3, 20001, again=1)]
    straight = [row(1, 20011), row(2, 20011, again=1), row(3, 20011)]
    assert delayed(rows, [])["shown"] == 2
    assert delayed(rows, straight)["shown"] == 1


def test_a_port_that_is_led_to_who_left() -> None:
    rows = [row(1, 20001, GONE), row(2, 20002, OTHER), row(11, 20001, GONE), row(12, 20002, GONE)]
    seen = to_the_gone(rows, GONE, 10)
    assert (seen["attempts"], seen["shown"], seen["ports"], seen["led"]) == (1, 1, 1, 1)
    rows[2] = row(11, 20001, OTHER)
    assert to_the_gone(rows, GONE, 10)["shown"] == 0
    assert to_the_gone(rows[:2], GONE, 10)["attempts"] == 0
