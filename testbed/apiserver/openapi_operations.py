"""What can be done with everything that is served: one row per path and method, as OpenAPI's documents say it.

Source: Kubernetes' API concepts, and the names that its own documents give to operations, after which clients
are generated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from testbed.apiserver.definitions import Gvk
from testbed.apiserver.resources import Resource, Subresource

META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_STREAMED = {
    "attach": ("container", "stderr", "stdin", "stdout", "tty"),
    "exec": ("command", "container", "stderr", "stdin", "stdout", "tty"),
    "log": (
        *("container", "follow", "limitBytes", "previous", "sinceSeconds", "sinceTime"),
        *("stream", "tailLines", "timestamps"),
    ),
    "portforward": ("ports",),
    "proxy": ("path",),
}
"""Subresources that answer with something else than an object, and their parameters."""
_LISTED = (
    *("allowWatchBookmarks", "continue", "fieldSelector", "labelSelector", "limit"),
    *("resourceVersion", "resourceVersionMatch", "sendInitialEvents", "timeoutSeconds"),
)
_WRITTEN = ("dryRun", "fieldManager", "fieldValidation")
_DELETED = ("dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy")


@dataclass(frozen=True, slots=True)
class Verb:
    """What a verb of discovery is in HTTP and in operation ids."""

    name: str
    method: str
    action: str
    word: str
    parameters: tuple[str, ...] = ()
    body: str = ""
    """The name of the body's schema; `*`: the object's own."""
    answer: str = "*"
    codes: tuple[int, ...] = (200,)


_COLLECTION = (
    Verb("list", "get", "list", "list", (*_LISTED, "watch"), answer="*List"),
    Verb("create", "post", "post", "create", _WRITTEN, "*", codes=(200, 201, 202)),
    Verb(
        *("deletecollection", "delete", "deletecollection", "deleteCollection"),
        parameters=(*_DELETED, *_LISTED),
        body=META + "DeleteOptions",
        answer=META + "Status",
    ),
)
_ITEM = (
    Verb("get", "get", "get", "read"),
    Verb("update", "put", "put", "replace", _WRITTEN, "*", codes=(200, 201)),
    Verb(
        "patch", "patch", "patch", "patch", (*_WRITTEN, "force"), META + "Patch", codes=(200, 201)
    ),
    Verb(
        *("delete", "delete", "delete", "delete", _DELETED),
        body=META + "DeleteOptions",
        answer=META + "Status",
        codes=(200, 202),
    ),
)
_PART = (
    Verb("create", "post", "post", "create", _WRITTEN, "*", codes=(200, 201, 202)),
    *(verb for verb in _ITEM if verb.name != "delete"),
)
_CONNECTED = {
    "create": "post",
    **{verb.name: verb.method for verb in _ITEM},
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    path: str
    method: str
    id: str
    tag: str
    action: str
    kind: Gvk
    namespaced: bool
    named: bool
    parameters: tuple[str, ...]
    body: str = ""
    """The name of a schema; "": none. A `*` stands for the kind's own, `*List` for its list's."""
    answer: str = ""
    """Likewise; "": a text."""
    codes: tuple[int, ...] = (200,)


def operations(resources: Sequence[Resource]) -> Iterator[Operation]:
    """All of them, in the order of their paths."""
    yield from sorted(
        (found for resource in resources for found in _of(resource)),
        key=lambda one: (one.path, one.method),
    )


def _of(resource: Resource) -> Iterator[Operation]:
    scope = f"{resource.root}/namespaces/{{namespace}}" if resource.namespaced else resource.root
    many = f"{scope}/{resource.plural}"
    verbs = [verb for verb in _COLLECTION if verb.name in resource.verbs]
    yield from (_operation(resource, verb, many) for verb in verbs)
    if resource.namespaced and "list" in resource.verbs:
        everywhere = _operation(resource, _COLLECTION[0], f"{resource.root}/{resource.plural}")
        yield everywhere
    one = f"{many}/{{name}}"
    yield from (_operation(resource, verb, one) for verb in _ITEM if verb.name in resource.verbs)
    for part in resource.subresources:
        yield from _of_part(resource, part, f"{one}/{part.name}")


def _of_part(resource: Resource, part: Subresource, path: str) -> Iterator[Operation]:
    if part.name not in _STREAMED:
        for verb in _PART:
            if verb.name in part.verbs:
                yield _operation(resource, verb, path, part)
        return
    for name in part.verbs:
        method = _CONNECTED[name]
        verb = Verb(name, method, "connect", f"connect{method.title()}", _STREAMED[part.name])
        yield _operation(resource, verb, path, part)


def _operation(
    resource: Resource, verb: Verb, path: str, part: Subresource | None = None
) -> Operation:
    group, version, kind = resource.group, resource.version, resource.kind
    if part is not None:
        group, version, kind = part.group or group, part.version or version, part.kind
    is_stream = verb.action == "connect"
    return Operation(
        *(path, verb.method, _id(resource, verb, path, part), _tag(resource), verb.action),
        kind=(group, version, kind),
        namespaced="{namespace}" in path,
        named="{name}" in path,
        parameters=verb.parameters,
        body="" if is_stream else verb.body,
        answer="" if is_stream else verb.answer,
        codes=verb.codes,
    )


def _id(resource: Resource, verb: Verb, path: str, part: Subresource | None) -> str:
    """`replaceAppsV1NamespacedDeploymentScale`."""
    group = resource.group.removesuffix(".k8s.io").partition(".")[0] or "core"
    collected = "Collection" if verb.name == "deletecollection" else ""
    word = verb.word.removesuffix("Collection")
    scope = "Namespaced" if "{namespace}" in path else ""
    name = f"{word}{_capital(group)}{_capital(resource.version)}{collected}{scope}{resource.kind}"
    if part is not None:
        name += _capital(part.name)
    everywhere = resource.namespaced and "{namespace}" not in path
    return f"{name}ForAllNamespaces" if everywhere else name


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _tag(resource: Resource) -> str:
    """`apps_v1`."""
    group = resource.group.removesuffix(".k8s.io").partition(".")[0] or "core"
    return f"{group}_{resource.version}"
