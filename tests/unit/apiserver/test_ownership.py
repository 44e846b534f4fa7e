"""Server-side apply: managers own fields, meet in conflicts, force them, share them and give them up."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.apiserver.field_paths import decoded, encoded
from testbed.apiserver.options import WriteOptions
from tests.unit.apiserver.clients import Client, Json, refusal


@pytest.fixture
def client() -> Client:
    return Client()


def config(**data: str) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}


def owned(document: Json) -> dict[str, Json]:
    """Manager and operation -> what it owns."""
    return {
        f"{entry['manager']}/{entry['operation']}": entry["fieldsV1"]
        for entry in document["metadata"].get("managedFields", ())
    }


def test_an_apply_creates_what_is_not_there(client: Client) -> None:
    answer = client.patch(
        "ConfigMap",
        "a",
        config(x="1"),
        "apply-patch+yaml",
        options=WriteOptions(field_manager="me"),
    )
    assert answer.code == 201
    (entry,) = answer.body["metadata"]["managedFields"]
    assert entry == {
        "manager": "me",
        "operation": "Apply",
        "apiVersion": "v1",
        "time": "1970-01-01T00:01:40Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:data": {"f:x": {}}},
    }


def test_applied_again_nothing_changes(client: Client) -> None:
    first = client.apply("ConfigMap", "a", "me", config(x="1"))
    client.now_s = 200.0
    assert client.apply("ConfigMap", "a", "me", config(x="1")) == first


def test_what_is_applied_no_more_goes(client: Client) -> None:
    client.apply("ConfigMap", "a", "me", config(x="1", y="2"))
    assert client.apply("ConfigMap", "a", "me", config(y="3"))["data"] == {"y": "3"}


def test_nothing_empty_is_left_of_what_goes(client: Client) -> None:
    labelled = {**config(x="1"), "metadata": {"name": "a", "labels": {"a": "b"}}}
    client.apply("ConfigMap", "a", "me", labelled)
    left = client.apply("ConfigMap", "a", "me", config())
    assert "data" not in left
    assert "labels" not in left["metadata"]


def test_what_another_one_wants_too_stays(client: Client) -> None:
    client.apply("ConfigMap", "a", "me", config(x="1", y="2"))
    client.apply("ConfigMap", "a", "you", config(x="1"))
    left = client.apply("ConfigMap", "a", "me", config(y="2"))
    assert left["data"] == {"x": "1", "y": "2"}
    assert owned(left)["you/Apply"] == {"f:data": {"f:x": {}}}


def test_two_who_want_different_things_are_in_conflict(client: Client) -> None:
    client.apply("ConfigMap", "a", "me", config(x="1"))
    status = refusal(client.apply, "ConfigMap", "a", "you", config(x="2"))
    assert (status["code"], status["reason"]) == (409, "Conflict")
    assert status["message"] == 'Apply failed with 1 conflict: conflict with "me" using v1: .data.x'
    assert status["details"]["causes"] == [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "me" using v1',
            "field": ".data.x",
        }
    ]


def test_several_conflicts_are_listed_by_manager(client: Client) -> None:
    client.apply("ConfigMap", "a", "me", config(x="1", y="1"))
    status = refusal(client.apply, "ConfigMap", "a", "you", config(x="2", y="2"))
    assert status["message"] == (
        'Apply failed with 2 conflicts: conflicts with "me" using v1:\n- .data.x\n- .data.y'
    )


def test_force_takes_the_field_and_its_ownership(client: Client) -> None:
    client.apply("ConfigMap", "a", "me", config(x="1", y="1"))
    taken = client.apply("ConfigMap", "a", "you", config(x="2"), force=True)
    assert taken["data"] == {"x": "2", "y": "1"}
    assert owned(taken) == {
        "me/Apply": {"f:data": {"f:y": {}}},
        "you/Apply": {"f:data": {"f:x": {}}},
    }


def test_what_was_there_before_the_first_apply_is_in_the_way(client: Client) -> None:
    client.create("ConfigMap", "a", data={"x": "1"})
    status = refusal(client.apply, "ConfigMap", "a", "me", config(x="2"))
    assert 'conflict with "before-first-apply" using v1: .data.x' in status["message"]
    assert client.apply("ConfigMap", "a", "me", config(x="1", y="2"))["data"] == {
        "x": "1",
        "y": "2",
    }


def test_an_update_takes_the_fields_that_it_changes(client: Client) -> None:
    client.apply("ConfigMap", "a", "me", config(x="1", y="1"))
    options = WriteOptions(field_manager="kubectl-edit")
    edited = client.patch("ConfigMap", "a", {"data": {"x": "2"}}, options=options).body
    assert owned(edited) == {
        "me/Apply": {"f:data": {"f:y": {}}},
        "kubectl-edit/Update": {"f:data": {"f:x": {}}},
    }
    status = refusal(client.apply, "ConfigMap", "a", "me", config(x="1", y="1"))
    assert 'conflict with "kubectl-edit" using v1' in status["message"]


def test_an_object_that_nobody_applied_has_no_owners(client: Client) -> None:
    client.create("ConfigMap", "a")
    changed = client.patch("ConfigMap", "a", {"data": {"x": "2"}}).body
    assert "managedFields" not in changed["metadata"]


def test_owners_are_not_lost_by_leaving_them_out(client: Client) -> None:
    made = client.apply("ConfigMap", "a", "me", config(x="1"))
    entries = made["metadata"]["managedFields"]
    again = client.update({**made, "metadata": {**made["metadata"], "managedFields": []}})
    assert again["metadata"]["managedFields"] == entries
    body = {**config(x="1"), "metadata": {"name": "a", "managedFields": entries}}
    status = refusal(client.apply, "ConfigMap", "a", "me", body)
    assert status["message"] == "metadata.managedFields must be nil"


def test_a_client_may_hand_ownership_over(client: Client) -> None:
    made = client.apply("ConfigMap", "a", "me", config(x="1"))
    steps = [{"op": "replace", "path": "/metadata/managedFields/0/manager", "value": "you"}]
    assert owned(client.patch("ConfigMap", "a", steps, "json-patch+json").body) == {
        "you/Apply": owned(made)["me/Apply"]
    }
    reset = [{"op": "replace", "path": "/metadata/managedFields", "value": [{}]}]
    forgotten = client.patch("ConfigMap", "a", reset, "json-patch+json").body
    assert "managedFields" not in forgotten["metadata"]


def test_an_apply_says_who_applies(client: Client) -> None:
    status = refusal(client.patch, "ConfigMap", "a", config(), "apply-patch+yaml")
    assert status["code"] == 422
    assert status["details"]["causes"][0]["field"] == "fieldManager"


def test_force_is_for_applies(client: Client) -> None:
    client.create("ConfigMap", "a")
    status = refusal(client.patch, "ConfigMap", "a", {}, options=WriteOptions(force=True))
    assert status["details"]["causes"][0]["field"] == "force"


def test_a_dry_apply_stores_nothing(client: Client) -> None:
    options = WriteOptions(field_manager="me", dry_run=True)
    client.patch("ConfigMap", "a", config(x="1"), "apply-patch+yaml", options=options)
    assert client.store.snapshot().tables["Namespace"]
    assert not client.store.snapshot().tables.get("ConfigMap")


def test_items_of_lists_are_owned_one_by_one(client: Client) -> None:
    def service(*ports: Json) -> Json:
        spec = {"selector": {"app": "web"}, "ports": list(ports)}
        return {"kind": "Service", "apiVersion": "v1", "metadata": {"name": "dns"}, "spec": spec}

    tcp, udp = {"name": "tcp", "port": 53}, {"name": "udp", "port": 53, "protocol": "UDP"}
    made = client.apply("Service", "dns", "me", service(tcp, udp))
    fields = owned(made)["me/Apply"]["f:spec"]
    assert set(fields["f:ports"]) == {
        'k:{"port":53,"protocol":"TCP"}',
        'k:{"port":53,"protocol":"UDP"}',
    }
    assert fields["f:selector"] == {}
    left = client.apply("Service", "dns", "me", service(udp))
    assert [port["name"] for port in left["spec"]["ports"]] == ["udp"]
    assert left["spec"]["clusterIP"] == made["spec"]["clusterIP"]


def test_a_sidecar_of_another_manager_stays(client: Client) -> None:
    def deployment(*containers: Json, **more: Any) -> Json:
        template = {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": list(containers)},
        }
        spec = {"selector": {"matchLabels": {"app": "web"}}, "template": template, **more}
        return {
            "kind": "Deployment",
            "apiVersion": "apps/v1",
            "metadata": {"name": "web"},
            "spec": spec,
        }

    web, proxy = {"name": "web", "image": "web:1"}, {"name": "proxy", "image": "proxy:1"}
    client.apply("Deployment", "web", "me", deployment(web, replicas=1))
    client.apply("Deployment", "web", "mesh", deployment(proxy))
    both = client.apply("Deployment", "web", "me", deployment({**web, "image": "web:2"}))
    images = [one["image"] for one in both["spec"]["template"]["spec"]["containers"]]
    assert images == ["web:2", "proxy:1"]
    assert both["spec"]["replicas"] == 1  # what nobody sets is Kubernetes' default


def test_a_status_is_applied_by_its_subresource(client: Client) -> None:
    client.create("Service", "web", spec={"type": "LoadBalancer", "ports": [{"port": 80}]})
    body = {
        **{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}},
        "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}},
    }
    options = WriteOptions(field_manager="lb")
    answer = client.patch(
        "Service", "web", body, "apply-patch+yaml", part="status", options=options
    )
    assert answer.body["status"]["loadBalancer"]["ingress"][0]["ip"] == "203.0.113.1"
    (entry,) = [one for one in answer.body["metadata"]["managedFields"] if one["manager"] == "lb"]
    assert entry["subresource"] == "status"
    assert set(entry["fieldsV1"]) == {"f:status"}


def test_a_scale_is_owned_as_part_of_what_is_scaled(client: Client) -> None:
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }
    spec = {"selector": {"matchLabels": {"app": "web"}}, "template": template, "replicas": 1}
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": spec,
    }
    client.apply("Deployment", "web", "me", body)
    options = WriteOptions(field_manager="kubectl")
    client.patch("Deployment", "web", {"spec": {"replicas": 3}}, part="scale", options=options)
    status = refusal(client.apply, "Deployment", "web", "me", body)
    assert status["details"]["causes"] == [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "kubectl" with subresource "scale" using apps/v1',
            "field": ".spec.replicas",
        }
    ]
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "spec": {"replicas": 4}}
    forced = WriteOptions(field_manager="scaler", force=True)
    answer = client.patch(
        "Deployment", "web", scale, "apply-patch+yaml", part="scale", options=forced
    )
    assert (answer.body["kind"], answer.body["spec"]) == ("Scale", {"replicas": 4})


PART = st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}', 'v:"y"'])
PATHS = st.frozensets(st.lists(PART, min_size=1, max_size=3).map(tuple), max_size=6)


@settings(deadline=None)
@given(PATHS)
def test_paths_are_written_and_read_without_loss(paths: frozenset[tuple[str, ...]]) -> None:
    assert decoded(encoded(paths)) == paths


DATA = st.dictionaries(st.sampled_from("xyz"), st.sampled_from("12"))


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["me", "you"]), DATA), max_size=6))
def test_by_force_each_manager_gets_what_it_last_wanted(steps: list[tuple[str, Any]]) -> None:
    client = Client()
    wants: dict[str, dict[str, str]] = {}
    for manager, data in steps:
        found = client.apply("ConfigMap", "a", manager, config(**data), force=True)
        wants[manager] = data
        for other, wanted in wants.items():
            if other != manager:
                wants[other] = {
                    key: value for key, value in wanted.items() if data.get(key, value) == value
                }
        expected = {key: value for one in wants.values() for key, value in one.items()}
        assert found.get("data", {}) == expected
