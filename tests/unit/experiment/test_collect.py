"""What a trial left, as one record."""

from __future__ import annotations

import pandas as pd

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
