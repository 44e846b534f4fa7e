"""Addresses that several pods had in turn."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from testbed.events import Event
from testbed.experiment.tenancy import Tenant, tenants, told_apart

IP, OTHER = "10.244.1.2", "10.244.1.3"


def ready(t_ns: int, name: str, ip: str = IP) -> Event:
    detail = {"pod_ips": [ip], "uid": f"u-{name}"}
    return Event(t_ns, "store", "n1", "pod-ready", f"default/{name}", 0, detail)


def ended(kind: str) -> Event:
    """web-0, at 50."""
    if kind == "pod-removed":
        return Event(50, "kubelet", "n1", kind, "default/web-0")
    detail: dict[str, Any] = {"pods": [{"pod": "default/web-0", "uid": "u-web-0"}]}
    return Event(50, "fault", "n1", kind, "n1", 0, detail)


@pytest.mark.parametrize("kind", ["pod-removed", "stop-node"])
def test_a_pod_has_its_address_from_the_end_of_the_one_before_it(kind: str) -> None:
    events = [ready(1, "web-0"), ready(2, "web-1", OTHER), ended(kind), ready(90, "web-3")]
    first, second = Tenant("web-0", "u-web-0", 0), Tenant("web-3", "u-web-3", 50)
    assert tenants(events) == {IP: (first, second)}


def test_an_end_that_nobody_saw_was_by_the_time_the_next_one_was_ready() -> None:
    assert tenants([ready(1, "web-0"), ready(90, "web-3")])[IP][1].from_ns == 90


def test_a_pod_that_is_ready_again_is_the_same() -> None:
    assert tenants([ready(1, "web-0"), ready(9, "web-0")]) == {}


def test_entries_name_the_pod_of_their_time() -> None:
    entries = pd.DataFrame(
        {"t_ns": [10, 60, 60], "reply_src_ip": pd.array([IP, IP, OTHER], dtype="string")}
    )
    events = [ready(1, "web-0"), ended("pod-removed"), ready(90, "web-3")]
    told, names = told_apart(entries, tenants(events))
    assert [names.get(ip, ip) for ip in told["reply_src_ip"]] == ["web-0", "web-3", OTHER]


def test_without_such_addresses_nothing_is_changed() -> None:
    entries = pd.DataFrame({"t_ns": [10], "reply_src_ip": [IP]})
    told, names = told_apart(entries, {})
    assert told is entries
    assert not names
