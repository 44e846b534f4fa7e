"""Label and field selectors, as kubectl and kube-proxy write them."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.apiserver.failure import ApiFailure
from testbed.apiserver.resources import RESOURCES, of_kind
from testbed.apiserver.selectors import field_selector, label_selector, names_of
from testbed.model.manifest import from_client
from testbed.model.objects.metadata import Object

LABELS = {"app": "web", "tier.example/x": "a", "empty": "", "rank": "7"}


def made(kind: str, **body: Any) -> Object:
    metadata = {"name": "web", "namespace": "shop", "labels": LABELS}
    api_version = of_kind(kind).group_version
    return from_client({"apiVersion": api_version, "kind": kind, "metadata": metadata, **body})


POD = made(
    "Pod",
    spec={
        "nodeName": "n1",
        "serviceAccountName": "robot",
        "containers": [{"name": "main", "image": "pause"}],
    },
    status={"phase": "Running", "podIP": "10.1.0.7", "podIPs": [{"ip": "10.1.0.7"}]},
)
NODE = made("Node", spec={"unschedulable": True})
SECRET = made("Secret", type="Opaque")
EVENT = made(
    "Event",
    involvedObject={"kind": "Pod", "name": "web-0"},
    reason="Killing",
    type="Normal",
    source={"component": "kubelet"},
)


@pytest.mark.parametrize(
    ("text", "takes"),
    [
        ("", True),
        ("app=web", True),
        ("app==web,tier.example/x=a", True),
        ("app=other", False),
        ("app!=other", True),
        ("missing!=x", True),
        ("app", True),
        ("missing", False),
        ("!missing", True),
        ("!service.kubernetes.io/service-proxy-name", True),
        ("!app", False),
        ("app in (web, shop)", True),
        ("app in(web)", True),
        ("app in (shop),tier.example/x", False),
        ("app notin (shop,api),empty=", True),
        ("missing notin (a)", True),
        ("rank>6,rank<8", True),
        ("rank>7", False),
        ("app>1", False),
        ("missing<1", False),
    ],
)
def test_label_selector(text: str, takes: bool) -> None:
    assert label_selector(text)(POD) is takes


@pytest.mark.parametrize(
    "text", ["a b", "app in web(", "!app=web", "=x", "app in web", "app=(web)", "rank>high"]
)
def test_a_label_selector_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ApiFailure) as caught:
        label_selector(text)
    assert caught.value.code == 400


@pytest.mark.parametrize(
    ("item", "text", "takes"),
    [
        (POD, "metadata.name=web", True),
        (POD, "metadata.name=other", False),
        (POD, "metadata.name=web,metadata.namespace!=shop", False),
        (POD, "spec.nodeName==n1,status.phase=Running", True),
        (POD, "status.phase!=Succeeded,status.phase!=Failed", True),
        (POD, "spec.hostNetwork=false,spec.serviceAccountName=robot", True),
        (POD, "status.podIP=10.1.0.7,status.podIPs=10.1.0.7", True),
        (POD, "status.nominatedNodeName=", True),
        (NODE, "spec.unschedulable=true", True),
        (SECRET, "type!=Opaque", False),
        (EVENT, "involvedObject.name=web-0,involvedObject.kind=Pod,source=kubelet", True),
        (EVENT, "reason=Killing,type=Warning", False),
        (POD, r"metadata.name=a\,b", False),
    ],
)
def test_field_selector(item: Object, text: str, takes: bool) -> None:
    assert field_selector(text, of_kind(item.kind))(item) is takes


def test_events_of_either_form_are_selected_by_their_own_words() -> None:
    (events,) = (one for one in RESOURCES if one.qualified == "events.events.k8s.io")
    assert field_selector("regarding.name=web-0,reason=Killing", events)(EVENT)


@pytest.mark.parametrize(
    ("kind", "text", "says"),
    [
        ("Pod", "metadata.name", "can't understand"),
        ("Pod", "spec.image=x", "field label not supported: spec.image"),
        ("ConfigMap", "data.x=y", 'only "metadata.name", "metadata.namespace"'),
    ],
)
def test_a_field_selector_that_is_none_is_refused(kind: str, text: str, says: str) -> None:
    with pytest.raises(ApiFailure, match=says) as caught:
        field_selector(text, of_kind(kind))
    assert caught.value.code == 400


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("metadata.name=web", "web"),
        ("status.phase=Running,metadata.name==web", "web"),
        ("metadata.name!=web", ""),
        ("", ""),
    ],
)
def test_the_one_name_that_a_selector_leaves(text: str, name: str) -> None:
    assert names_of(text) == name
