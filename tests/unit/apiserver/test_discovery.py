"""Discovery, plain and aggregated."""

from __future__ import annotations

from testbed.apiserver.discovery import aggregated, plain
from testbed.apiserver.resources import RESOURCES

PLAIN = plain(RESOURCES)


def test_every_group_is_named_and_answers() -> None:
    groups = {one["name"]: one for one in PLAIN["/apis"]["groups"]}
    assert {one.group for one in RESOURCES} - {""} <= set(groups)
    for name, group in groups.items():
        assert PLAIN[f"/apis/{name}"]["preferredVersion"] == group["preferredVersion"]
        for version in group["versions"]:
            found = PLAIN[f"/apis/{version['groupVersion']}"]
            assert found["groupVersion"] == version["groupVersion"]


def test_drain_finds_how_pods_are_evicted() -> None:
    assert "policy" in {one["name"] for one in PLAIN["/apis"]["groups"]}
    (eviction,) = (one for one in PLAIN["/api/v1"]["resources"] if one["name"] == "pods/eviction")
    assert (eviction["group"], eviction["version"], eviction["kind"]) == (
        "policy",
        "v1",
        "Eviction",
    )


def test_both_ways_tell_the_same() -> None:
    told = {
        (row["name"], row["kind"], row["namespaced"], *row["verbs"])
        for document in PLAIN.values()
        if document["kind"] == "APIResourceList"
        for row in document["resources"]
        if "/" not in row["name"]
    }
    for version in ("v2", "v2beta1"):
        documents = aggregated(RESOURCES, version)
        assert {one["apiVersion"] for one in documents.values()} == {
            f"apidiscovery.k8s.io/{version}"
        }
        rows = [
            row
            for document in documents.values()
            for group in document["items"]
            for one in group["versions"]
            for row in one["resources"]
        ]
        scope = {"Namespaced": True, "Cluster": False}
        assert told == {
            (one["resource"], one["responseKind"]["kind"], scope[one["scope"]], *one["verbs"])
            for one in rows
        }
        assert sum(len(one.get("subresources", ())) for one in rows) == sum(
            len(one.subresources) for one in RESOURCES
        )


def test_names_are_not_ambiguous() -> None:
    served = [one for one in RESOURCES if one.qualified != "events.events.k8s.io"]
    names = [name for one in served for name in (one.plural, one.singular, *one.short_names)]
    twice = {name for name in names if names.count(name) > 1}
    assert twice <= {"endpoints"}  # the plural and the singular of one
