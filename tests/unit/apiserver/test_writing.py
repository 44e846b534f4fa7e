"""Writes as clients make them: what is stored, what is answered, and what is refused in which words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.apiserver.list_options import list_options
from testbed.apiserver.options import DeleteOptions, WriteOptions
from testbed.apiserver.resources import RESOURCES, of_kind
from testbed.apiserver.routing import Target
from testbed.model.objects.metadata import with_meta
from testbed.model.objects.pods import Pod
from testbed.store import Update
from tests.unit.apiserver.clients import (
    DRY,
    POD_SPEC,
    SPECS,
    WRITE,
    Client,
    Json,
    refusal,
)


@pytest.fixture
def client() -> Client:
    return Client()


# Create


@pytest.mark.parametrize("kind", SPECS)
def test_what_is_created_is_there_and_answered(client: Client, kind: str) -> None:
    answer = client.writer.create(
        client.target(kind), {**SPECS[kind], "metadata": {"name": "one"}}, WRITE
    )
    assert answer.code == 201
    assert (answer.body["kind"], answer.body["metadata"]["name"]) == (kind, "one")
    assert answer.body["metadata"]["uid"]
    assert answer.body["metadata"]["creationTimestamp"] == "1970-01-01T00:01:40Z"
    assert client.stored(kind, "one") is not None


def test_defaults_are_filled_in(client: Client) -> None:
    spec = client.create("Pod", "one")["spec"]
    assert spec["terminationGracePeriodSeconds"] == 30
    assert spec["serviceAccountName"] == "default"
    assert spec["containers"][0]["imagePullPolicy"] == "IfNotPresent"


_STAYS = {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}


def test_a_pod_stays_five_minutes_on_a_node_that_fails(client: Client) -> None:
    assert client.create("Pod", "one")["spec"]["tolerations"] == [
        {"key": "node.kubernetes.io/not-ready", **_STAYS},
        {"key": "node.kubernetes.io/unreachable", **_STAYS},
    ]
    everything = {**POD_SPEC, "tolerations": [{"operator": "Exists"}]}
    made = client.create("Pod", "two", spec=everything)
    assert made["spec"]["tolerations"] == everything["tolerations"]


def test_a_name_is_generated_another_one_each_time(client: Client) -> None:
    names = {
        client.create("Pod", metadata={"generateName": "web-"})["metadata"]["name"]
        for _ in range(5)
    }
    assert len(names) == 5
    assert all(name.startswith("web-") and len(name) == 9 for name in names)


def test_a_long_prefix_leaves_room_for_what_is_generated(client: Client) -> None:
    made = client.create("ConfigMap", metadata={"generateName": "a" * 70})
    assert len(made["metadata"]["name"]) == 63


def test_what_only_the_server_says_is_taken_back(client: Client) -> None:
    said = {"uid": "mine", "generation": 7, "creationTimestamp": "2001-01-01T00:00:00Z"}
    made = client.create("Pod", "one", metadata=said, status={"phase": "Running"})
    assert made["metadata"]["uid"] != "mine"
    assert made["metadata"]["generation"] == 1
    assert made["status"]["phase"] == "Pending"


def test_a_node_registers_with_its_status(client: Client) -> None:
    addresses = [{"type": "InternalIP", "address": "10.0.0.9"}]
    made = client.create("Node", "n", status={"addresses": addresses})
    assert addresses[0] in made["status"]["addresses"]


def test_a_dry_run_answers_and_stores_nothing(client: Client) -> None:
    before = client.store.resource_version
    assert client.create("Service", "one", DRY)["spec"]["clusterIP"]
    assert client.store.resource_version == before
    assert client.create("Service", "one")


CREATE_REFUSED: dict[str, tuple[str, Json, int, str]] = {
    "it is there": (
        "ConfigMap",
        {"metadata": {"name": "there"}},
        409,
        'configmaps "there" already exists',
    ),
    "it has no name": (
        "ConfigMap",
        {"metadata": {}},
        422,
        'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required',
    ),
    "it comes with a version": (
        "ConfigMap",
        {"metadata": {"name": "a", "resourceVersion": "3"}},
        400,
        "resourceVersion should not be set on objects to be created",
    ),
    "it is of another kind": (
        "ConfigMap",
        {"kind": "Secret", "metadata": {"name": "a"}},
        400,
        'Secret in version "v1" cannot be handled as a ConfigMap',
    ),
    "it is of another version": (
        "ConfigMap",
        {"apiVersion": "v2", "metadata": {"name": "a"}},
        400,
        "the API version in the data (v2) does not match the expected API version (v1)",
    ),
    "it is elsewhere": (
        "ConfigMap",
        {"metadata": {"name": "a", "namespace": "other"}},
        400,
        "the namespace of the provided object does not match the namespace sent on the request",
    ),
    "its metadata is none": ("ConfigMap", {"metadata": 3}, 400, "metadata is no mapping"),
    "its ServiceAccount is missing": (
        "Pod",
        {"metadata": {"name": "a"}, "spec": {**SPECS["Pod"]["spec"], "serviceAccountName": "x"}},
        403,
        'pods "a" is forbidden: error looking up service account default/x: serviceaccount "x" not found',
    ),
}


@pytest.mark.parametrize("name", CREATE_REFUSED)
def test_create_is_refused(client: Client, name: str) -> None:
    kind, body, code, words = CREATE_REFUSED[name]
    client.create("ConfigMap", "there")
    before = client.store.resource_version
    status = refusal(client.writer.create, client.target(kind), body, WRITE)
    assert status["code"] == code
    assert words in status["message"]
    assert client.store.resource_version == before


@pytest.mark.parametrize("body", [None, 3, "text", []])
def test_a_body_that_is_no_object(client: Client, body: Any) -> None:
    status = refusal(client.writer.create, client.target("Pod"), body, WRITE)
    assert status["code"] == 400


def test_there_is_no_such_namespace(client: Client) -> None:
    target = client.target("Pod", namespace="nowhere")
    status = refusal(
        client.writer.create, target, {**SPECS["Pod"], "metadata": {"name": "a"}}, WRITE
    )
    assert (status["code"], status["message"]) == (404, 'namespaces "nowhere" not found')


def test_what_is_in_no_namespace_forgets_the_one_it_names(client: Client) -> None:
    assert (
        "namespace" not in client.create("Namespace", "a", metadata={"namespace": "b"})["metadata"]
    )


def test_every_mistake_is_told_at_once(client: Client) -> None:
    ports = [{"port": 70000}, {"port": 80, "nodePort": 30000}]
    status = refusal(client.create, "Service", "web", spec={"ports": ports})
    assert status["reason"] == "Invalid"
    fields = {cause["field"] for cause in status["details"]["causes"]}
    assert {"spec.ports[0].port", "spec.ports[1].nodePort"} <= fields


@pytest.mark.parametrize(("level", "warned"), [("Warn", True), ("Ignore", False)])
def test_unknown_fields_are_dropped(client: Client, level: Any, warned: bool) -> None:
    body = {**SPECS["ConfigMap"], "metadata": {"name": "a"}, "colour": "red"}
    options = WriteOptions(field_validation=level)
    answer = client.writer.create(client.target("ConfigMap"), body, options)
    assert "colour" not in answer.body
    assert bool(answer.warnings) is warned


def test_unknown_fields_are_refused_if_strict(client: Client) -> None:
    strict = WriteOptions(field_validation="Strict")
    status = refusal(client.create, "ConfigMap", "a", strict, colour="red")
    assert status["code"] == 400
    assert 'unknown field "colour"' in status["message"]


def test_a_network_policy_is_stored_with_a_warning(client: Client) -> None:
    body = {**SPECS["NetworkPolicy"], "metadata": {"name": "deny"}}
    answer = client.writer.create(client.target("NetworkPolicy"), body, WRITE)
    assert any("not enforced" in warning for warning in answer.warnings)
    assert client.stored("NetworkPolicy", "deny") is not None


# Update


def test_an_update_that_is_based_on_an_older_version_is_a_conflict(client: Client) -> None:
    made = client.create("ConfigMap", "a")
    client.update({**made, "data": {"a": "2"}})
    status = refusal(client.update, {**made, "data": {"a": "3"}})
    assert (status["code"], status["reason"]) == (409, "Conflict")
    assert status["message"] == (
        'Operation cannot be fulfilled on configmaps "a": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )


def test_an_update_without_a_version_takes_what_is_there(client: Client) -> None:
    made = client.create("ConfigMap", "a")
    client.update(made | {"data": {"a": "2"}})
    del made["metadata"]["resourceVersion"]
    assert client.update(made | {"data": {"b": "3"}})["data"] == {"b": "3"}


def test_a_lease_is_updated_by_whoever_knows_its_version(client: Client) -> None:
    made = client.create("Lease", "a")
    del made["metadata"]["resourceVersion"]
    status = refusal(client.update, made)
    assert status["details"]["causes"][0]["field"] == "metadata.resourceVersion"
    assert "must be specified for an update" in status["message"]


def test_an_update_of_another_object_of_that_name(client: Client) -> None:
    made = client.create("ConfigMap", "a")
    client.delete("ConfigMap", "a")
    client.create("ConfigMap", "a")
    del made["metadata"]["resourceVersion"]
    status = refusal(client.update, made)
    assert "Precondition failed: UID in precondition" in status["message"]


def test_an_update_that_changes_nothing_is_no_write(client: Client) -> None:
    made = client.create("Deployment", "web")
    assert client.update(made)["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


@pytest.mark.parametrize(
    ("kind", "creates"), [("Lease", True), ("Endpoints", True), ("Pod", False)]
)
def test_an_update_of_what_is_not_there(client: Client, kind: str, creates: bool) -> None:
    document = {"kind": kind, **SPECS[kind], "metadata": {"name": "new"}}
    if creates:
        assert client.update(document)["metadata"]["uid"]
    else:
        assert refusal(client.update, document)["code"] == 404


def test_the_name_is_the_urls(client: Client) -> None:
    made = client.create("ConfigMap", "a")
    status = refusal(client.writer.update, client.target("ConfigMap", "b"), made, WRITE)
    assert status["message"] == (
        "the name of the object (a) does not match the name on the URL (b)"
    )


def test_the_status_is_written_by_its_subresource_only(client: Client) -> None:
    made = client.create("Service", "web", spec={"type": "LoadBalancer", "ports": [{"port": 80}]})
    ingress = {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}}
    by_main = client.update({**made, "status": ingress})
    assert "ingress" not in by_main["status"]["loadBalancer"]
    ports = [{"port": 81}]
    by_status = client.update({**by_main, "status": ingress, "spec": {"ports": ports}}, "status")
    assert by_status["status"]["loadBalancer"]["ingress"][0]["ip"] == "203.0.113.1"
    assert by_status["spec"]["ports"][0]["port"] == 80


def test_annotations_come_by_way_of_the_status_too(client: Client) -> None:
    client.create("Service", "web")
    patch = {"metadata": {"annotations": {"patched": "true"}}, "status": {"conditions": []}}
    answer = client.patch("Service", "web", patch, part="status")
    assert answer.body["metadata"]["annotations"] == {"patched": "true"}


@pytest.mark.parametrize("kind", ["Deployment", "Pod", "NetworkPolicy"])
def test_the_generation_counts_changes_of_what_is_asked_for(client: Client, kind: str) -> None:
    made = client.create(kind, "web")
    assert made["metadata"]["generation"] == 1
    labelled = client.patch(kind, "web", {"metadata": {"labels": {"a": "b"}}}).body
    assert labelled["metadata"]["generation"] == 1
    spec = {
        "Deployment": {"replicas": 5},
        "Pod": {"activeDeadlineSeconds": 5},
        "NetworkPolicy": {"policyTypes": ["Egress"]},
    }[kind]
    asked = client.patch(kind, "web", {"spec": spec}).body
    assert asked["metadata"]["generation"] == 2


def test_a_pods_node_is_for_the_scheduler(client: Client) -> None:
    made = client.create("Pod", "one")
    made["spec"]["nodeName"] = "elsewhere"
    assert refusal(client.update, made)["reason"] == "Invalid"


# Patches


PATCHES: dict[str, tuple[str, Any]] = {
    "merge": ("merge-patch+json", {"spec": {"replicas": 3}}),
    "strategic merge": ("strategic-merge-patch+json", {"spec": {"replicas": 3}}),
    "JSON": ("json-patch+json", [{"op": "replace", "path": "/spec/replicas", "value": 3}]),
}


@pytest.mark.parametrize("name", PATCHES)
def test_a_patch_changes_what_it_names(client: Client, name: str) -> None:
    form, patch = PATCHES[name]
    client.create("Deployment", "web")
    answer = client.patch("Deployment", "web", patch, form)
    assert answer.code == 200
    assert answer.body["spec"]["replicas"] == 3
    assert answer.body["spec"]["selector"] == {"matchLabels": {"app": "web"}}


def test_a_patch_of_what_is_not_there(client: Client) -> None:
    assert refusal(client.patch, "Deployment", "web", {})["code"] == 404


def test_a_patch_that_names_a_version_means_it(client: Client) -> None:
    made = client.create("ConfigMap", "a")
    patch = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}}
    client.patch("ConfigMap", "a", {**patch, "data": {"a": "2"}})
    assert refusal(client.patch, "ConfigMap", "a", {**patch, "data": {"a": "3"}})["code"] == 409


def test_a_patch_in_an_unknown_form(client: Client) -> None:
    client.create("ConfigMap", "a")
    status = refusal(client.patch, "ConfigMap", "a", {}, "json")
    assert status["code"] == 415
    assert "application/strategic-merge-patch+json" in status["message"]


def test_a_patch_that_makes_no_valid_object(client: Client) -> None:
    client.create("Deployment", "web")
    status = refusal(client.patch, "Deployment", "web", {"spec": {"replicas": -1}})
    assert status["details"]["causes"][0]["field"] == "spec.replicas"


# Scale, binding, eviction


def test_a_scale_says_how_many_and_which(client: Client) -> None:
    client.create("Deployment", "web")
    scale = {"spec": {"replicas": 7}}
    answer = client.writer.update(client.target("Deployment", "web", "scale"), scale, WRITE)
    assert (answer.body["kind"], answer.body["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert answer.body["spec"] == {"replicas": 7}
    assert answer.body["status"]["selector"] == "app=web"
    patched = client.patch("Deployment", "web", {"spec": {"replicas": 1}}, part="scale")
    assert patched.body["spec"] == {"replicas": 1}
    stored: Any = client.stored("Deployment", "web")
    assert stored.replicas == 1


def test_a_scale_of_less_than_nothing(client: Client) -> None:
    client.create("Deployment", "web")
    patch = {"spec": {"replicas": -1}}
    status = refusal(client.patch, "Deployment", "web", patch, part="scale")
    assert status["message"].startswith('Scale.autoscaling "web" is invalid: spec.replicas')


def test_a_binding_sends_a_pod_to_a_node_once(client: Client) -> None:
    client.create("Node", "n")
    client.create("Pod", "one")
    binding = {"target": {"kind": "Node", "name": "n"}}
    answer = client.writer.create(client.target("Pod", "one", "binding"), binding, WRITE)
    assert (answer.code, answer.body["status"]) == (201, "Success")
    stored = client.stored("Pod", "one")
    assert isinstance(stored, Pod)
    assert (stored.spec.node_name, stored.status.scheduled) == ("n", True)
    status = refusal(client.writer.create, client.target("Pod", "one", "binding"), binding, WRITE)
    assert status["code"] == 409
    assert 'pod one is already assigned to node "n"' in status["message"]


@pytest.mark.parametrize("version", ["policy/v1", "policy/v1beta1"])
def test_an_eviction_deletes_a_pod(client: Client, version: str) -> None:
    running(client, "one")
    eviction = {
        "apiVersion": version,
        "kind": "Eviction",
        "deleteOptions": {"gracePeriodSeconds": 5},
    }
    answer = client.writer.create(client.target("Pod", "one", "eviction"), eviction, WRITE)
    assert (answer.code, answer.body["status"]) == (201, "Success")
    stored = client.stored("Pod", "one")
    assert stored is not None
    assert stored.meta.deletion_grace_period_s == 5


# Delete


def running(client: Client, name: str, **metadata: Any) -> None:
    """A pod that runs on a node."""
    client.create("Pod", name, metadata=metadata)
    stored = client.stored("Pod", name)
    assert isinstance(stored, Pod)
    client.store.apply([Update(replace(stored, spec=replace(stored.spec, node_name="n")))])


def test_most_objects_go_at_once(client: Client) -> None:
    made = client.create("ConfigMap", "a")
    answer = client.delete("ConfigMap", "a")
    assert (answer["kind"], answer["status"]) == ("Status", "Success")
    assert answer["details"] == {
        "name": "a",
        "kind": "configmaps",
        "uid": made["metadata"]["uid"],
    }
    assert client.stored("ConfigMap", "a") is None
    assert refusal(client.delete, "ConfigMap", "a")["message"] == 'configmaps "a" not found'


def test_a_running_pod_ends_gracefully_and_its_deletion_only_gets_sooner(client: Client) -> None:
    running(client, "one")
    asked = client.delete("Pod", "one")
    assert asked["metadata"]["deletionTimestamp"] == "1970-01-01T00:02:10Z"
    assert asked["metadata"]["deletionGracePeriodSeconds"] == 30
    client.now_s = 110.0
    sooner = client.delete("Pod", "one", grace_period_s=5)
    assert sooner["metadata"]["deletionGracePeriodSeconds"] == 5
    later = client.delete("Pod", "one", grace_period_s=60)
    assert later["metadata"]["deletionGracePeriodSeconds"] == 5
    client.delete("Pod", "one", grace_period_s=0)
    assert client.stored("Pod", "one") is None


def test_a_finalizer_keeps_the_object_until_it_is_taken_away(client: Client) -> None:
    client.create("ConfigMap", "a", metadata={"finalizers": ["example.com/a"]})
    ending = client.delete("ConfigMap", "a")
    assert ending["metadata"]["deletionTimestamp"]
    status = refusal(
        client.patch,
        "ConfigMap",
        "a",
        {"metadata": {"finalizers": ["example.com/a", "example.com/b"]}},
    )
    assert "no new finalizers can be added" in status["message"]
    last = client.patch("ConfigMap", "a", {"metadata": {"finalizers": None}}).body
    assert "finalizers" not in last["metadata"]
    assert client.stored("ConfigMap", "a") is None


def test_a_pod_with_a_finalizer_stays_after_its_grace_period(client: Client) -> None:
    running(client, "one", finalizers=["example.com/a"])
    client.delete("Pod", "one")
    client.patch("Pod", "one", {"metadata": {"labels": {"a": "b"}}})
    assert client.stored("Pod", "one") is not None
    client.delete("Pod", "one", grace_period_s=0)
    assert client.stored("Pod", "one") is not None
    client.patch("Pod", "one", {"metadata": {"finalizers": None}})
    assert client.stored("Pod", "one") is None


@pytest.mark.parametrize(
    ("policy", "finalizers"),
    [("Foreground", ("foregroundDeletion",)), ("Orphan", ("orphan",)), ("Background", None)],
)
def test_propagation_is_the_garbage_collectors_to_work_off(
    client: Client, policy: str, finalizers: tuple[str, ...] | None
) -> None:
    client.create("Deployment", "web")
    client.delete("Deployment", "web", propagation=policy)
    stored = client.stored("Deployment", "web")
    assert (stored.meta.finalizers if stored else None) == finalizers


@pytest.mark.parametrize("precondition", [{"uid": "other"}, {"resource_version": "1"}])
def test_a_precondition_that_does_not_hold(client: Client, precondition: dict[str, str]) -> None:
    client.create("ConfigMap", "a")
    status = refusal(client.delete, "ConfigMap", "a", **precondition)
    assert status["code"] == 409
    assert "Precondition failed" in status["message"]
    assert client.stored("ConfigMap", "a") is not None


def test_a_namespace_is_emptied_first_and_takes_nothing_new(client: Client) -> None:
    client.create("Namespace", "shop")
    ending = client.delete("Namespace", "shop")
    assert ending["status"]["phase"] == "Terminating"
    target = client.target("ConfigMap", namespace="shop")
    status = refusal(client.writer.create, target, {"metadata": {"name": "a"}}, WRITE)
    assert status["code"] == 403
    assert status["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    assert refusal(client.delete, "Namespace", "shop")["code"] == 409
    client.update({**ending, "spec": {"finalizers": []}}, "finalize")
    assert client.stored("Namespace", "shop") is None


def test_system_namespaces_stay(client: Client) -> None:
    assert refusal(client.delete, "Namespace", "default")["reason"] == "Forbidden"


def test_a_namespace_bears_its_name_as_a_label(client: Client) -> None:
    made = client.create("Namespace", "shop")
    assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": "shop"}
    made["metadata"]["labels"] = {"a": "b"}
    again = client.update(made)
    assert again["metadata"]["labels"] == {"a": "b", "kubernetes.io/metadata.name": "shop"}


def test_a_dry_deletion_deletes_nothing(client: Client) -> None:
    client.create("ConfigMap", "a")
    assert client.delete("ConfigMap", "a", dry_run=True)["status"] == "Success"
    assert client.stored("ConfigMap", "a") is not None


def test_a_collection_is_deleted_by_selector(client: Client) -> None:
    for name, colour in (("a", "red"), ("b", "blue"), ("c", "red")):
        client.create("ConfigMap", name, metadata={"labels": {"colour": colour}})
    query = {"labelSelector": "colour=red"}
    selection = list_options(of_kind("ConfigMap"), "default", query).selection
    answer = client.writer.delete_collection(selection, DeleteOptions())
    assert [item["metadata"]["name"] for item in answer.body["items"]] == ["a", "c"]
    assert [client.stored("ConfigMap", name) is None for name in "abc"] == [True, False, True]


# Events, in two forms


def test_an_event_is_one_object_in_both_of_its_groups(client: Client) -> None:
    (resource,) = (one for one in RESOURCES if (one.group, one.kind) == ("events.k8s.io", "Event"))
    body = {
        "metadata": {"name": "e"},
        "regarding": {"kind": "Pod", "name": "one", "namespace": "default"},
        "reason": "Testing",
        "type": "Normal",
        "action": "Test",
        "note": "said",
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "test",
        "reportingInstance": "one",
    }
    made = client.writer.create(Target(resource, "default"), body, WRITE).body
    assert (made["apiVersion"], made["note"]) == ("events.k8s.io/v1", "said")
    core = client.patch("Event", "e", {"metadata": {"labels": {"a": "b"}}}).body
    assert (core["apiVersion"], core["message"]) == ("v1", "said")


# Whatever comes


TEXTS = st.text("abc-", min_size=1, max_size=4)
MAPS = st.dictionaries(TEXTS.filter(lambda text: text[0] != "-" and text[-1] != "-"), TEXTS)


@settings(deadline=None)
@given(data=MAPS, labels=MAPS, again=MAPS)
def test_a_config_map_is_given_back_as_it_was_written(
    data: dict[str, str], labels: dict[str, str], again: dict[str, str]
) -> None:
    client = Client()
    labels = dict.fromkeys(labels, "x")
    made = client.create("ConfigMap", "a", data=data, metadata={"labels": labels})
    assert made.get("data", {}) == data
    assert made["metadata"].get("labels", {}) == labels
    replaced = client.update({**made, "data": again})
    assert replaced.get("data", {}) == again


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["create", "update", "merge", "delete"]), MAPS), max_size=8)
)
def test_any_sequence_of_writes_equals_the_mapping_it_describes(steps: list[Any]) -> None:
    client, expected = Client(), None
    for step, data in steps:
        if (step == "create") is (expected is not None):
            continue
        if step == "create":
            client.create("ConfigMap", "a", data=data)
            expected = data
        elif step == "update":
            client.update({"kind": "ConfigMap", "metadata": {"name": "a"}, "data": data})
            expected = data
        elif step == "merge":
            client.patch("ConfigMap", "a", {"data": data})
            expected = {**(expected or {}), **data}
        else:
            client.delete("ConfigMap", "a")
            expected = None
        stored: Any = client.stored("ConfigMap", "a")
        assert (None if stored is None else stored.body.get("data", {})) == expected


def test_who_is_told_of_a_write_sees_all_of_it(client: Client) -> None:
    told: list[str] = []
    client.store.watch(lambda changes: told.extend(change.object.kind for change in changes))
    client.create("Service", "web")
    assert told == ["Service", "IPAddress"]
    client.delete("Service", "web")
    assert told == ["Service", "IPAddress"] * 2


def test_a_write_beside_a_controllers_keeps_what_the_controller_wrote(client: Client) -> None:
    client.create("Pod", "one")
    stored = client.stored("Pod", "one")
    assert isinstance(stored, Pod)
    ready = replace(stored.status, phase="Running", ready=True, ready_changed_s=99.5)
    client.store.apply([Update(with_meta(replace(stored, status=ready), resource_version=0))])
    client.patch("Pod", "one", {"metadata": {"labels": {"a": "b"}}})
    again = client.stored("Pod", "one")
    assert isinstance(again, Pod)
    assert (again.status.ready, again.status.ready_changed_s) == (True, 99.5)
    assert again.meta.labels == {"a": "b"}
