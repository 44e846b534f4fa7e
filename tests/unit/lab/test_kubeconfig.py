"""Kubeconfigs: what is in them, who may read them, and what merging leaves alone."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from testbed.errors import UsageError
from testbed.lab.api_access import Access, kubeconfig, write_private
from testbed.lab.kubeconfig_merge import merged

NEW = kubeconfig("shop", Access("127.0.0.1:4711", "PEM", "secret"))
OTHERS = """
apiVersion: v1
kind: Config
preferences: {colors: true}
clusters: [{name: work, cluster: {server: https://work}}, {name: testbed-shop, cluster: {server: old}}]
contexts: [{name: work, context: {cluster: work, user: me}}]
users: [{name: me, user: {token: mine}}]
current-context: work
"""


def test_it_names_server_authority_and_token() -> None:
    cluster, user = NEW["clusters"][0]["cluster"], NEW["users"][0]["user"]
    assert cluster == {
        "server": "https://127.0.0.1:4711",
        "certificate-authority-data": "UEVN",
    }
    assert user == {"token": "secret"}
    assert NEW["current-context"] == "testbed-shop"


def test_merging_adds_a_context_replaces_its_own_and_keeps_the_rest() -> None:
    found = merged(OTHERS, NEW, "config")
    by_name = {one["name"]: one["cluster"]["server"] for one in found["clusters"]}
    assert by_name == {"work": "https://work", "testbed-shop": "https://127.0.0.1:4711"}
    assert [one["name"] for one in found["users"]] == ["me", "testbed-shop-kubernetes-admin"]
    assert found["preferences"] == {"colors": True}
    assert found["current-context"] == "testbed-shop"


@pytest.mark.parametrize("text", ["", "{}", "clusters: null"])
def test_merging_into_nothing_is_the_kubeconfig_itself(text: str) -> None:
    assert merged(text, NEW, "config") == NEW


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: Pod", "is no kubeconfig"),
        ("[1, 2]", "is no kubeconfig"),
        ("clusters: {a: b}", "clusters is no list"),
        ("users: [1]", "users is no list"),
        ("a: [", "is no YAML"),
    ],
)
def test_what_is_no_kubeconfig_is_left_alone(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        merged(text, NEW, "config")


@pytest.mark.parametrize("before", [None, "old"])
def test_only_its_owner_may_read_it(tmp_path: Path, before: Any) -> None:
    path = tmp_path / "config"
    if before is not None:
        path.write_text(before)
        path.chmod(0o644)
    write_private(path, "new")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", 0o600)
    assert list(tmp_path.iterdir()) == [path]
