"""The sample file, written through a memory map and read as a data frame."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from testbed.errors import UsageError
from testbed.traffic.samples import COLUMNS, OUTCOME_NUMBERS, OUTCOMES, SampleFile, read


def add(file: SampleFile, outcome: str = "ok", start_ns: int = 1, backend: str = "web-0") -> None:
    names = [file.name(text) for text in ("10.0.0.1", "10.96.0.3:80", backend)]
    source, target, who = names
    number = OUTCOME_NUMBERS[outcome]
    file.add(0, start_ns, 0, 2, 3, 4, 9, 5, source, 40000, target, who, 200, number)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    file = SampleFile(tmp_path / "samples")
    add(file)
    file.close()
    samples = read(tmp_path / "samples")
    assert tuple(samples.columns) == COLUMNS
    row = samples.iloc[0]
    assert row["scheduled_ns"] is pd.NA
    assert row["resolved_ns"] is pd.NA
    assert row.drop(["scheduled_ns", "resolved_ns"]).to_dict() == {
        "start_ns": 1,
        "connected_ns": 2,
        "first_byte_ns": 3,
        "end_ns": 4,
        "src_ip": "10.0.0.1",
        "src_port": 40000,
        "target": "10.96.0.3:80",
        "backend": "web-0",
        "connection": 9,
        "outcome": "ok",
        "status": 200,
        "bytes": 5,
    }


def test_every_outcome_comes_back(tmp_path: Path) -> None:
    file = SampleFile(tmp_path / "samples")
    for outcome in OUTCOMES:
        add(file, outcome, backend="")
    file.close()
    samples = read(tmp_path / "samples")
    assert tuple(samples["outcome"]) == OUTCOMES
    assert samples["backend"].isna().all()


def test_times_keep_every_nanosecond(tmp_path: Path) -> None:
    file = SampleFile(tmp_path / "samples")
    late = 2**62 + 1
    add(file, start_ns=late)
    file.close()
    assert int(read(tmp_path / "samples")["start_ns"].iloc[0]) == late


def test_a_file_that_was_never_closed_is_whole(tmp_path: Path) -> None:
    file = SampleFile(tmp_path / "samples")
    for start_ns in range(1, 70_001):  # more than one map holds
        add(file, start_ns=start_ns, backend=f"web-{start_ns % 7}")
    samples = read(tmp_path / "samples")
    assert samples["start_ns"].tolist() == list(range(1, 70_001))
    assert samples["backend"].nunique() == 7
    file.close()
    assert read(tmp_path / "samples").equals(samples)


def test_no_sample_at_all(tmp_path: Path) -> None:
    SampleFile(tmp_path / "samples").close()
    samples = read(tmp_path / "samples")
    assert samples.empty
    assert tuple(samples.columns) == COLUMNS


def test_another_file_holds_no_samples(tmp_path: Path) -> None:
    (tmp_path / "samples").write_text("trial,outcome\n")
    with pytest.raises(UsageError, match="holds no samples"):
        read(tmp_path / "samples")
