"""What Kubernetes says of a client's object: whether it is one, and what it means where it says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol

from testbed.apiserver import definitions
from testbed.apiserver.decoding import Level, decoded
from testbed.apiserver.defaults import filled_in, unsaid
from testbed.apiserver.definitions import Definitions, Gvk, Json
from testbed.apiserver.failure import Cause, bad_request
from testbed.apiserver.resources import RESOURCES
from testbed.apiserver.validation import mistakes

_OTHERS: tuple[Gvk, ...] = (
    ("", "v1", "Binding"),
    ("autoscaling", "v1", "Scale"),
    ("policy", "v1", "Eviction"),
)
"""Kinds of subresources."""

_TEMPLATE = "io.k8s.api.core.v1.PodTemplateSpec"


class Kind(Protocol):
    """What is asked of a resource."""

    @property
    def group(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def kind(self) -> str: ...


@cache
def served() -> Definitions:
    """The schemas of what is served; a fraction of a second, once."""
    kinds = {(one.group, one.version, one.kind) for one in RESOURCES}
    return definitions.load(frozenset({*kinds, *_OTHERS}))


def pruned(manifest: Json, resource: Kind, level: Level = "Warn") -> tuple[Json, tuple[str, ...]]:
    """The manifest's known fields, and warnings. Raises ApiFailure (400) where a value is of the wrong type or,
    if Strict, a field is unknown.
    """
    return decoded(manifest, _name(resource), served(), level)


def defaulted(manifest: Json) -> dict[str, Any]:
    """The manifest with what Kubernetes fills in; `pruned` has passed it. Nothing in it is changed, and what
    has no defaults is shared.
    """
    name = _named(manifest)
    return {**manifest} if name is None else filled_in(manifest, name, served())


def lean(manifest: Json) -> dict[str, Any]:
    """The manifest as it is stored: of its pods' template only what is not filled in anyway. So templates are
    equal that mean the same, whoever has written the defaults down.
    """
    spec = manifest.get("spec")
    if not isinstance(spec, Mapping) or "template" not in spec:
        return {**manifest}
    return {**manifest, "spec": {**spec, "template": unsaid(spec["template"], _TEMPLATE, served())}}


def validate(
    manifest: Json, resource: Kind, level: Level = "Warn", *, old: Json | None = None
) -> tuple[tuple[Cause, ...], tuple[str, ...]]:
    """Every mistake in an object that is to be created, or to replace `old`, and warnings. Raises ApiFailure
    (400) as `pruned` does.
    """
    body, warnings = pruned(manifest, resource, level)
    return mistakes(defaulted(body), None if old is None else defaulted(old)), warnings


def _named(manifest: Json) -> str | None:
    group, version = definitions.group_version(str(manifest.get("apiVersion", "v1")))
    return served().of(group, version, str(manifest.get("kind", "")))


def _name(resource: Kind) -> str:
    name = served().of(resource.group, resource.version, resource.kind)
    if name is None:
        raise bad_request(
            f"no kind {resource.kind!r} is registered for version {resource.version!r}"
        )
    return name
