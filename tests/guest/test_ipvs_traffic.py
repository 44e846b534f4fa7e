"""Connections through IPVS in a guest kernel: who gets them, and what becomes of those of a withdrawn pod."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from tests.addresses import PLAN
from tests.guest.conftest import InGuest

pytestmark = pytest.mark.guest

EVEN = [6, 6, 6, 6]
ALL_AT_ONE = [24]


@pytest.fixture(scope="module")
def balance(in_guest: InGuest) -> Any:
    return seen(in_guest, "balance")


def seen(in_guest: InGuest, what: str) -> Any:
    done = in_guest([sys.executable, "-m", "tests.guest.ipvs_traffic", what])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("scheduler", ["rr", "wrr", "lc", "wlc", "sed", "nq"])
def test_a_scheduler_that_shares_out_gives_every_pod_as_many(scheduler: str, balance: Any) -> None:
    assert balance[scheduler] == EVEN


@pytest.mark.parametrize("scheduler", ["sh", "dh", "fo"])
def test_a_scheduler_that_hashes_or_prefers_gives_one_client_one_pod(
    scheduler: str, balance: Any
) -> None:
    assert balance[scheduler] == ALL_AT_ONE


@pytest.mark.parametrize("scheduler", ["mh", "lblc", "lblcr"])
def test_neither_maglev_with_ports_nor_locality_keeps_a_client(
    scheduler: str, balance: Any
) -> None:
    assert len(balance[scheduler]) > 1
    assert sum(balance[scheduler]) == 24


def test_overflow_refuses_when_every_pod_has_one_beyond_its_weight(balance: Any) -> None:
    assert balance["ovf"] == 8


def test_affinity_keeps_a_client(balance: Any) -> None:
    assert balance["sticky"] == 1


def test_who_cannot_be_served_is_refused(balance: Any) -> None:
    assert balance["empty"] == balance["no such port"] == "ConnectionRefusedError"


def test_what_the_kernel_refuses_is_heard(balance: Any) -> None:
    assert "No such file or directory" in balance["twos"]
    assert "-s twos" in balance["twos"]


def test_a_withdrawn_pod_ends_its_connections_in_peace(in_guest: InGuest) -> None:
    stays, goes = PLAN.pods["web-0"], PLAN.pods["web-1"]
    assert seen(in_guest, "drain") == {
        "echoed": "still there",
        "new ones": [stays],
        "finished while busy": 1,  # at the node port, where it had no connection
        "lingers": True,
        "back": True,
        "lingers at last": [],
        "all again": sorted([stays, goes]),
    }


def test_a_port_that_ipvs_knows_with_a_pod_gets_no_answer_from_it(in_guest: InGuest) -> None:
    """Of another connection, that is: the pod's replies are taken for the known one's (kubernetes 90042)."""
    assert seen(in_guest, "known port") == {"known": "TimeoutError", "fresh": True}
