"""What an update leaves as it is stays as it is stored."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.apiserver.unchanged import as_stored
from testbed.model.manifest import from_manifest
from testbed.store import Create

from .clients import Client

_STORED = {"a": 1, "t": {"x": 1}}
_THEN = {"a": 1, "t": {"x": 1, "y": "default"}, "z": "default"}


@pytest.mark.parametrize(
    ("now", "kept"),
    [
        pytest.param(_THEN, _STORED, id="nothing"),
        pytest.param({**_THEN, "a": 2}, {**_STORED, "a": 2}, id="a field"),
        pytest.param(
            {**_THEN, "t": {"x": 2, "y": "default"}}, {**_STORED, "t": {"x": 2}}, id="deep down"
        ),
        pytest.param({**_THEN, "z": "other"}, {**_STORED, "z": "other"}, id="a default"),
        pytest.param({"t": _THEN["t"], "z": "default"}, {"t": {"x": 1}}, id="a field goes"),
        pytest.param({**_THEN, "n": {"m": 1}}, {**_STORED, "n": {"m": 1}}, id="a field comes"),
        pytest.param({**_THEN, "t": 3}, {**_STORED, "t": 3}, id="another type"),
    ],
)
def test_as_stored(now: Any, kept: Any) -> None:
    assert as_stored(now, _THEN, _STORED) == kept


_POD_SPEC = {"containers": [{"name": "web", "image": "testbed/echo"}]}
_LABELS = {"app": "web"}
_MADE = {
    "Pod": ("v1", _POD_SPEC),
    "Service": ("v1", {"clusterIP": "10.96.0.9", "ports": [{"port": 80}]}),
    "Deployment": (
        "apps/v1",
        {
            "selector": {"matchLabels": _LABELS},
            "template": {"metadata": {"labels": _LABELS}, "spec": _POD_SPEC},
        },
    ),
}


@pytest.mark.parametrize("kind", _MADE)
def test_a_label_changes_nothing_else_of_what_the_lab_made(kind: str) -> None:
    """Not a Deployment's template, of which a change would roll out."""
    api_version, spec = _MADE[kind]
    head = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "web"}}
    client = Client()
    (change,) = client.store.apply([Create(from_manifest({**head, "spec": spec}))])
    before: Any = change.object
    client.patch(kind, "web", {"metadata": {"labels": {"new": "yes"}}})
    after: Any = client.stored(kind, "web")
    assert after.meta.labels["new"] == "yes"
    for field in ("spec", "template", "ports", "selector", "replicas", "strategy"):
        assert getattr(after, field, None) == getattr(before, field, None)
    assert "spec" not in after.meta.rest
    assert after.meta.generation == before.meta.generation


def test_what_the_lab_made_is_shown_in_full() -> None:
    client = Client()
    head = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}}
    client.store.apply([Create(from_manifest({**head, "spec": _POD_SPEC}))])
    shown = client.patch("Pod", "web", {"metadata": {"labels": {"new": "yes"}}}).body
    (container,) = shown["spec"]["containers"]
    assert container["imagePullPolicy"] == "Always"
    assert shown["spec"]["schedulerName"] == "default-scheduler"
    assert shown["spec"]["serviceAccountName"] == "default"
    assert [one["tolerationSeconds"] for one in shown["spec"]["tolerations"]] == [300, 300]
    assert shown["status"]["qosClass"] == "BestEffort"


def test_items_of_lists_are_known_by_their_type_or_name() -> None:
    ready = {"type": "Ready", "status": "True"}
    timed = {**ready, "lastTransitionTime": "2026-01-01T00:00:00Z"}
    mine = {"type": "Mine", "status": "True", "lastTransitionTime": "2026-01-02T00:00:00Z"}
    kept = as_stored(
        {"conditions": [mine, timed]}, {"conditions": [timed]}, {"conditions": [ready]}
    )
    assert kept == {"conditions": [mine, ready]}


def test_a_nodes_heartbeat_goes_on_after_a_client_wrote_its_status() -> None:
    client = Client()
    client.create("Node", "n")
    more = {"conditions": [{"type": "Mine", "status": "True"}], "capacity": {"a.b/c": "4"}}
    made = client.patch("Node", "n", {"status": more}, "strategic-merge-patch+json", part="status")
    assert made.body["status"]["capacity"]["a.b/c"] == "4"
    assert {one["type"] for one in made.body["status"]["conditions"]} == {"Ready", "Mine"}
    stored: Any = client.stored("Node", "n")
    for shown in ("lastHeartbeatTime", "nodeInfo"):
        assert shown not in str(stored.meta.rest)
