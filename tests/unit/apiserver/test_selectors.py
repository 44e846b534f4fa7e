"""Label and field selectors, as kubectl and kube-proxy write them."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.apiserver.selectors import field_selector, label_selector
from testbed.errors import UsageError

OBJECT: dict[str, Any] = {
    "metadata": {"name": "web", "labels": {"app": "web", "tier.example/x": "a", "empty": ""}},
    "spec": {"clusterIP": "None", "nodeName": "n1", "unschedulable": True},
}


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
        ("app in (shop),tier.example/x", False),
        ("app notin (shop,api),empty=", True),
        ("missing notin (a)", True),
    ],
)
def test_label_selector(text: str, takes: bool) -> None:
    assert label_selector(text)(OBJECT) is takes


@pytest.mark.parametrize("text", ["a b", "app in web(", "!app=web", "=x"])
def test_a_label_selector_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        label_selector(text)


@pytest.mark.parametrize(
    ("text", "takes"),
    [
        ("metadata.name=web", True),
        ("metadata.name=other", False),
        ("spec.clusterIP!=None", False),
        ("spec.nodeName==n1,spec.unschedulable=true", True),
        ("spec.missing=", True),
        ("spec.missing!=None", True),
    ],
)
def test_field_selector(text: str, takes: bool) -> None:
    assert field_selector(text)(OBJECT) is takes


def test_a_field_selector_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError):
        field_selector("metadata.name")
