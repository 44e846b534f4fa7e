"""Orders to workers of Dask: addresses, and what may come back."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from testbed.errors import MissingFeature, OutOfTimeOrRoom, TestbedError, UsageError
from testbed.experiment.dask_cluster import Lost, address_of, answer_of, connected
from testbed.experiment.design import Design
from testbed.experiment.module import load
from testbed.experiment.order import Order, Work
from testbed.experiment.setting import topologies
from tests.unit.experiment.test_runner import MODULE


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("dask://10.0.0.1:8786", "tcp://10.0.0.1:8786"),
        ("dask://[fd00::1]:8786", "tcp://[fd00::1]:8786"),
        ("tls://head:8786", "tls://head:8786"),
    ],
)
def test_an_executor_is_a_scheduler_s_address(text: str, address: str) -> None:
    assert address_of(text) == address


@pytest.mark.parametrize("text", ["dask:8786", "dask://", "dask://head", "head:8786", "dask://:1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no such executor"):
        address_of(text)


def test_without_dask_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(MissingFeature, match=r"pip install 'kube-testbed\[dask\]'"),
        connected("tcp://127.0.0.1:1"),
    ):
        pass


@dataclass
class Ended:
    """A future that is done."""

    status: str
    value: Any = None

    def result(self) -> Any:
        return self.value

    def exception(self) -> Any:
        return self.value


OTHER = {"other": {"version": "0.0.1", "source": "cafe"}}


@pytest.mark.parametrize(
    ("future", "error", "says"),
    [
        (Ended("cancelled"), Lost, None),
        (Ended("finished", {"crashed": "Killed", "code": -9}), Lost, None),
        (Ended("finished", {"crashed": "", "code": 130}), Lost, None),
        (Ended("finished", {"crashed": "ZeroDivisionError", "code": 1}), RuntimeError, "ZeroDiv"),
        (Ended("error", ModuleNotFoundError("No module named 'testbed'")), UsageError, "install"),
        (Ended("finished", OTHER), UsageError, r"worker w has another testbed: 0\.0\.1"),
    ],
)
def test_what_is_no_answer_says_why(future: Any, error: type[Exception], says: str | None) -> None:
    with pytest.raises(error, match=says):
        answer_of(future, "worker w")


def test_an_error_of_a_block_says_where_it_happened() -> None:
    sent = {"trials": {}, "error": OutOfTimeOrRoom("no room left in /tmp", "free some")}
    error = answer_of(Ended("finished", sent), "block 3 on m1")["error"]
    assert isinstance(error, TestbedError)
    assert str(error) == "block 3 on m1: no room left in /tmp (free some)"


def test_an_order_arrives_as_it_was_sent(tmp_path: Path) -> None:
    path = tmp_path / "example.py"
    path.write_text(MODULE)
    experiment = load(str(path))
    design = Design({"replicas": (1, 2)}, repeats=3, seed=5)
    work = Work.of(experiment, design, topologies(experiment, design, None))
    order = Order(work, 2, {"b02-a0": ("noise",)}, "m1")
    arrived = Order.from_json(order.to_json())
    assert arrived == order
    there = tmp_path / "there"
    there.mkdir()
    assert arrived.work.experiment(there).name == experiment.name
    assert arrived.work.topology({"replicas": 2}) == work.topologies[1]
