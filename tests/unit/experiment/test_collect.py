"""What a trial left, as one record."""

from __future__ import annotations

import pandas as pd
import pytest

from testbed.events import Event
from testbed.experiment.collect import samples_of, with_rules_version
from testbed.experiment.columns import SAMPLES
from testbed.traffic import conntrack
from testbed.traffic.ledger import join
from tests.unit.experiment.fake_lab import VIEW


def test_a_trial_that_sent_nothing_has_no_rows_and_every_column() -> None:
    entries = pd.DataFrame(columns=pd.Index(conntrack.COLUMNS)).astype(conntrack.COLUMNS)
    samples = with_rules_version(join(samples_of([], VIEW), entries, {}), [])
    assert samples.empty
    assert set(samples.columns) == set(SAMPLES)


def sync(t_ns: int, family: str, version: int) -> Event:
    return Event(t_ns, "proxy", "n1", "sync", "", version, {"ip_family": family})


@pytest.mark.parametrize(
    ("target", "version"),
    [("10.96.0.3:80", 7), ("[fd00::3]:80", 8), (None, 7)],
    ids=["IPv4", "IPv6", "nothing was dialled: the primary family"],
)
def test_rules_are_those_of_the_family_that_was_dialled(target: str | None, version: int) -> None:
    rows = pd.DataFrame([{"start_ns": 50, "client_node": "n1", "target": target}])
    events = [sync(10, "IPv4", 7), sync(20, "IPv6", 8), sync(90, "IPv6", 9)]
    found = with_rules_version(rows.astype({"target": "string"}), events)
    assert found["node_rules_rv"].tolist() == [version]
