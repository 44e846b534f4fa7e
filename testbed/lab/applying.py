"""Manifests applied to a lab by its API, one after the other: Kubernetes' server-side apply.

Source: KEP-555. What an earlier `apply` set and this one does not name is taken away again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from testbed.apiserver.resources import RESOURCES, Resource
from testbed.errors import Problem
from testbed.lab.api_client import Answer, ApiClient
from testbed.model.document import Document, Positions
from testbed.model.fields import Mistake, kind_of, path_of
from testbed.spelling import nearest

MANAGER = "testbed-apply"
"""Who owns the fields that it sets."""
_APPLY = "application/apply-patch+yaml"
_INVALID = frozenset({400, 413, 415, 422})


@dataclass(frozen=True, slots=True)
class Wanted:
    """An object of a manifest; `name` is as kubectl says it: `deployment.apps/web`."""

    resource: Resource
    namespace: str
    name: str
    manifest: dict[str, Any]
    positions: Positions

    @property
    def label(self) -> str:
        group = f".{self.resource.group}" if self.resource.group else ""
        return f"{self.resource.singular}{group}/{self.name}"

    @property
    def path(self) -> str:
        """Of its URL."""
        within = f"/namespaces/{quote(self.namespace, '')}" if self.namespace else ""
        return f"{self.resource.root}{within}/{self.resource.plural}/{quote(self.name, '')}"


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of one: created, configured, unchanged, or refused because of `problems`."""

    wanted: Wanted
    result: str
    warnings: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    invalid: bool = False
    """The manifest is wrong, whatever the lab is like."""

    def to_json(self) -> dict[str, str]:
        one = self.wanted
        row = {
            "apiVersion": one.resource.group_version,
            "kind": one.resource.kind,
            "namespace": one.namespace,
            "name": one.name,
            "result": self.result,
        }
        return {key: value for key, value in row.items() if value}


def wanted(
    documents: Iterable[Document], namespace: str
) -> tuple[list[Wanted], tuple[Problem, ...]]:
    """The objects that documents describe, namespaces first; and what is wrong with those that do not.

    `namespace` is for objects that name none.
    """
    found: list[Wanted] = []
    problems: list[Problem] = []
    for document in documents:
        problems.extend(document.problems)
        for value, positions in _parts(document.value, document.positions):
            one = _read(value, positions, namespace)
            if isinstance(one, Wanted):
                found.append(one)
            else:
                problems.append(positions.problem(one))
    found.sort(key=lambda one: one.resource.kind != "Namespace")
    return found, tuple(problems)


def _parts(value: Any, positions: Positions) -> Iterator[tuple[Any, Positions]]:
    """The objects of any list, typed ones too."""
    is_list = isinstance(value, dict) and str(value.get("kind", "")).endswith("List")
    items = value.get("items") if is_list else None
    if not isinstance(items, list):
        yield value, positions
        return
    places = positions.items(("items",))
    for index, item in enumerate(items):
        yield from _parts(item, places[index])


def _read(value: Any, positions: Positions, namespace: str) -> Wanted | Mistake:
    if not isinstance(value, dict):
        return Mistake(
            (), f"a manifest is a mapping, not {kind_of(value)}", "begin with apiVersion:"
        )
    kind, version = value.get("kind"), value.get("apiVersion")
    resource = next(
        (
            one
            for one in RESOURCES
            if one.stored and (one.kind, one.group_version) == (kind, version)
        ),
        None,
    )
    if resource is None:
        return _unknown(kind, version)
    metadata = value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(name, str) or not name:
        hint = "generateName is for `kubectl create`" if isinstance(metadata, dict) else ""
        return Mistake(("metadata",), "metadata.name is missing", hint)
    assert isinstance(metadata, dict)
    own = metadata.get("namespace") if resource.namespaced else ""
    where = (own or namespace) if resource.namespaced else ""
    if not isinstance(where, str):
        return Mistake(("metadata", "namespace"), "a namespace is a text")
    manifest = {**value, "metadata": {**metadata, **({"namespace": where} if where else {})}}
    return Wanted(resource, where, name, manifest, positions)


def _unknown(kind: Any, version: Any) -> Mistake:
    kinds = {one.kind: one.group_version for one in RESOURCES if one.stored}
    if kind is None:
        return Mistake((), "kind is missing", "as in kind: Service")
    if kind in kinds and version is None:
        return Mistake((), "apiVersion is missing", f"write {kinds[kind]}")
    if kind in kinds:
        return Mistake(("apiVersion",), f"{kind} is not in {version!r}", f"write {kinds[kind]}")
    meant = nearest(str(kind), kinds)
    hint = f"did you mean {meant}?" if meant else f"there is {', '.join(sorted(kinds))}"
    return Mistake(("kind",), f"no kind {kind!r} in this lab's API", hint)


def apply(client: ApiClient, objects: Sequence[Wanted], *, dry_run: bool) -> Iterator[Applied]:
    """Apply them in their order, each whatever became of the one before."""
    for one in objects:
        before = client.get(one.path)
        query = f"fieldManager={MANAGER}&force=true{'&dryRun=All' if dry_run else ''}"
        answer = client.patch(f"{one.path}?{query}", _APPLY, one.manifest)
        yield _outcome(one, before, answer)


def _outcome(one: Wanted, before: Answer, answer: Answer) -> Applied:
    if answer.code >= 300:
        problems = tuple(_problems(one, answer.body))
        return Applied(one, "refused", answer.warnings, problems, answer.code in _INVALID)
    if before.code == 404:
        return Applied(one, "created", answer.warnings)
    result = "unchanged" if _said(before.body) == _said(answer.body) else "configured"
    return Applied(one, result, answer.warnings)


def _said(manifest: dict[str, Any]) -> dict[str, Any]:
    """The object without what is not the user's: who owns which field, and its version."""
    metadata = manifest.get("metadata", {})
    ours = {"managedFields", "resourceVersion", "generation"}
    kept = {key: value for key, value in metadata.items() if key not in ours}
    rest = {key: value for key, value in manifest.items() if key not in {"metadata", "status"}}
    return {**rest, "metadata": kept}


def _problems(one: Wanted, status: dict[str, Any]) -> Iterator[Problem]:
    """A row for each cause, where it is in the file."""
    causes = status.get("details", {}).get("causes", [])
    for cause in causes:
        path = path_of(cause.get("field", ""))
        at = one.positions.find(path, at_key=False)
        message = cause.get("message", "")
        yield Problem(at.file, at.line, at.column, cause.get("field", ""), message)
    if not causes:
        at = one.positions.root
        yield Problem(at.file, at.line, at.column, "", str(status.get("message", "refused")))
