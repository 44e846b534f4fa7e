"""The specification's rows as `dig` in a pod sees them: a real lab's DNS, behind its service."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from testbed.lab.client import Lab
from testbed.model.topology import Topology
from tests.lab.conftest import unique_name
from tests.specification.rows import MANIFESTS, ROWS, Row, without_serial
from tests.specification.spoken import Said, expected

pytestmark = pytest.mark.lab

KUBERNETES = {
    "name": "kubernetes",
    "parameters": "cluster.local in-addr.arpa ip6.arpa",
    "configBlock": "pods insecure\nttl 5",
}
TOPOLOGY: dict[str, Any] = {
    "name": "specification",
    "nodes": {"n1": {}},
    "network": {
        "podCIDR": "10.244.0.0/16,fd00:244::/48",
        "serviceCIDR": "10.3.0.0/16,fd00:3::/112",
    },
    "dns": {"replicas": 1, "plugins": [KUBERNETES]},
    "workloads": {"client": {}},
    "manifests": list(MANIFESTS),
}


@pytest.fixture(scope="module")
def answers() -> dict[str, Said]:
    """What dig was told, by the rows' titles: all of them in one run."""
    questions = [word for row in ROWS.values() for word in (f"{row.name}.", row.type)]
    with Lab.up(Topology.model_validate(TOPOLOGY), name=unique_name()) as lab:
        found = lab.exec("client-0", ["dig", "+yaml", "+norecurse", *questions])
    assert found.returncode == 0, found.stderr
    return dict(zip(ROWS, map(said_by_dig, yaml.safe_load(found.stdout)), strict=True))


def said_by_dig(message: dict[str, Any]) -> Said:
    """One of dig's messages, as a row has it."""
    data = message["message"]["response_message_data"]
    answers, authority, additional = (
        frozenset(map(without_serial, data.get(f"{section}_SECTION", ())))
        for section in ("ANSWER", "AUTHORITY", "ADDITIONAL")
    )
    return data["status"], answers, authority, additional


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_dig_in_a_pod_is_told_the_same(answers: dict[str, Said], row: Row) -> None:
    assert answers[row.title] == expected(row)
