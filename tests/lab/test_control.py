"""`up` on a running lab: only the differences. The control plane's words, from node to service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.errors import NotFound, OutOfTimeOrRoom, UsageError
from testbed.lab.client import Lab
from testbed.model.topology import Topology
from tests.lab.conftest import unique_name

pytestmark = pytest.mark.lab

BASE: dict[str, Any] = {
    "name": "control",
    "dns": {"replicas": 0},
    "nodes": {"n1": {}, "n2": {}},
    "hosts": {"outside": {}},
    "proxy": {"minSyncPeriod": "100ms"},
    "workloads": {"web": {"replicas": 2, "port": 8080}},
    "services": {"web": {"port": 80, "targetPort": 8080}},
}


class Changing:
    """One lab that is brought from topology to topology."""

    def __init__(self) -> None:
        self.name = unique_name()
        self.lab = self.to()

    def to(self, **changes: Any) -> Lab:
        """The lab as `BASE` with these keys replaced."""
        topology = Topology.model_validate({**BASE, **changes})
        return Lab.up(topology, name=self.name, timeout_s=300)

    def pods(self) -> dict[str, dict[str, Any]]:
        return {pod["name"]: pod for pod in self.lab.inspect()["pods"]}

    def service(self, name: str) -> dict[str, Any]:
        return next(row for row in self.lab.inspect()["services"] if row["name"] == name)


@pytest.fixture
def changing() -> Iterator[Changing]:
    found = Changing()
    with found.lab:
        yield found


def test_a_node_is_added_and_nothing_else_changes(changing: Changing) -> None:
    before = changing.pods()
    lab = changing.to(nodes={**BASE["nodes"], "n3": {}})
    assert [node["name"] for node in lab.inspect()["nodes"]] == ["n1", "n2", "n3"]
    assert changing.pods() == before
    assert "KUBE-SVC-" in lab.rules("n3")


def test_a_removed_node_takes_its_pods_which_are_replaced_elsewhere(changing: Changing) -> None:
    before = changing.pods()
    lab = changing.to(nodes={"n1": {}})
    after = changing.pods()
    assert {pod["node"] for pod in after.values()} == {"n1"}
    assert len(after) == 2
    stayed = [name for name, pod in before.items() if pod["node"] == "n1"]
    assert [after[name]["uid"] for name in stayed] == [before[name]["uid"] for name in stayed]
    with pytest.raises(NotFound):
        lab.rules("n2")


def test_a_service_is_added_changed_and_removed(changing: Changing) -> None:
    pods, first = changing.pods(), changing.service("web")
    other = {"port": 81, "targetPort": 8080, "selector": {"app": "web"}}
    lab = changing.to(services={**BASE["services"], "other": other})
    assert changing.service("web") == first
    assert f"{changing.service('other')['clusterIP']}/32" in lab.rules("n1")

    lab = changing.to(services={"web": {"port": 8000, "targetPort": 8080}})
    assert changing.service("web")["clusterIP"] == first["clusterIP"]
    assert "--dport 8000" in lab.rules("n2")
    assert "--dport 80 " not in lab.rules("n2")

    lab = changing.to(services={})
    assert lab.inspect()["services"] == []
    assert first["clusterIP"] not in lab.rules("n1")
    assert changing.pods() == pods


def test_a_changed_workload_is_replaced_and_the_others_are_not(changing: Changing) -> None:
    extra = {"idle": {"port": 9000}}
    changing.to(workloads={**BASE["workloads"], **extra})
    before = changing.pods()
    changing.to(workloads={**BASE["workloads"], "idle": {"port": 9001}})
    after = changing.pods()
    kept = {name for name, pod in after.items() if pod == before.get(name)}
    assert kept == {"web-0", "web-1"}
    (fresh,) = after.keys() - kept
    assert fresh.startswith("idle-")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("network", {"mtu": 1400}),
        ("network", {"podCIDR": "10.200.0.0/16"}),
        ("proxy", {"minSyncPeriod": "2s"}),
        ("timing", {"relistPeriod": "2s"}),
    ],
)
def test_what_cannot_change_is_refused_and_the_lab_stays(
    changing: Changing, key: str, value: dict[str, Any]
) -> None:
    before = changing.lab.inspect()
    with pytest.raises(UsageError, match=key):
        changing.to(**{key: value})
    assert changing.lab.inspect() == before


def test_a_lab_that_is_gone_is_not_found() -> None:
    with Changing().lab as lab:
        pass
    with pytest.raises(NotFound, match=lab.name):
        Lab.attach(lab.name)
    with pytest.raises(NotFound, match=lab.name):
        lab.inspect()


def test_an_ephemeral_lab_ends_with_its_client() -> None:
    name = unique_name()
    lab = Lab.up(Topology.model_validate(BASE), name=name, ephemeral=True)
    other = Lab.attach(name)
    lab._connection.close()
    with pytest.raises(NotFound):
        other.wait_event(lambda event: False, 300)


def test_waiting_for_what_does_not_happen_runs_out_of_time(changing: Changing) -> None:
    with pytest.raises(OutOfTimeOrRoom):
        changing.lab.wait_event(lambda event: event.kind == "never", 0.2)


def test_a_command_that_does_not_end_in_time_is_killed(changing: Changing) -> None:
    with pytest.raises(OutOfTimeOrRoom, match="sleep"):
        changing.lab.exec("n1", ["sleep", "600"], timeout_s=0.2)
    seen = changing.lab.exec("n1", ["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"])
    assert "sleep 600" not in seen.stdout.replace("cat /proc", "")


def test_the_labs_files_are_its_owners_only(changing: Changing) -> None:
    folder: Path = changing.lab.folder
    assert folder.stat().st_mode & 0o077 == 0
