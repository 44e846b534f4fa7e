"""What pods may say and should not: taken, with a warning in Kubernetes' words."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.apiserver import schema
from testbed.apiserver.admission import warnings_of

from .objects import VALID, changed, resource_of

_TCP = {"containerPort": 8080, "protocol": "TCP"}


@pytest.mark.parametrize("kind", sorted(VALID.keys() - {"NetworkPolicy"}))
def test_an_ordinary_object_is_taken_without_a_word(kind: str) -> None:
    assert warnings_of(schema.defaulted(VALID[kind])) == ()


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (
            "spec/containers/0/env",
            [{"name": "A", "value": "a"}, {"name": "A", "value": "b"}],
            'spec.containers[0].env[1]: hides previous definition of "A", '
            "which may be dropped when using apply",
        ),
        (
            "spec/containers/0/env",
            [{"name": "A", "value": "a"}, {"name": "A", "value": "$(A)b"}],
            "",
        ),
        (
            "spec/containers/0/ports",
            [_TCP, _TCP],
            "spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]",
        ),
        (
            "spec/containers/0/ports",
            [_TCP, {**_TCP, "hostPort": 80}],
            "spec.containers[0].ports[1]: overlapping port definition with "
            "spec.containers[0].ports[0]",
        ),
        ("spec/containers/0/ports", [_TCP, {**_TCP, "protocol": "UDP"}], ""),
        (
            "spec/hostAliases",
            [{"ip": "10.0.0.1"}, {"ip": "10.0.0.1"}],
            'spec.hostAliases[1].ip: duplicate ip "10.0.0.1"',
        ),
        (
            "spec/topologySpreadConstraints/0/labelSelector",
            None,
            "spec.topologySpreadConstraints[0].labelSelector: "
            "a null labelSelector results in matching no pod",
        ),
        (
            "spec/terminationGracePeriodSeconds",
            -1,
            "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and "
            "will be treated as 1",
        ),
    ],
)
def test_warning(path: str, value: Any, said: str) -> None:
    manifest = changed("Pod", path, value)
    assert schema.validate(manifest, resource_of(manifest), "Strict")[0] == ()
    assert warnings_of(schema.defaulted(manifest)) == ((said,) if said else ())


def test_a_template_s_pods_are_warned_of_by_their_own_path() -> None:
    manifest = changed("Deployment", "spec/template/spec/terminationGracePeriodSeconds", -1)
    (said,) = warnings_of(schema.defaulted(manifest))
    assert said.startswith("spec.template.spec.terminationGracePeriodSeconds: must be >= 0")
