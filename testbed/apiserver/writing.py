"""Create, update, patch and delete: what a client's request makes of the store, and the answer to it.

A request is checked in Kubernetes' order: its shape (400), who may be where (403, 404), whether it is based on
what there is (409), then every mistake in the object (422). Nothing is stored unless all is well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from testbed.apiserver import admission, ownership, received, schema
from testbed.apiserver.ages import rfc3339
from testbed.apiserver.commits import Commits
from testbed.apiserver.deleting import check_deletable, deletion, is_over
from testbed.apiserver.failure import (
    Cause,
    bad_request,
    invalid,
    method_not_allowed,
    not_found,
    success,
)
from testbed.apiserver.list_options import Selection
from testbed.apiserver.options import DeleteOptions, WriteOptions, delete_options, options_invalid
from testbed.apiserver.ownership import Manager, Owned
from testbed.apiserver.patched import patched
from testbed.apiserver.patching import APPLY_PATCH
from testbed.apiserver.presented import Face, served
from testbed.apiserver.resources import Json, Resource, of_kind
from testbed.apiserver.routing import Target
from testbed.apiserver.rules import rules_of
from testbed.apiserver.service_updates import carried_over, one_address
from testbed.apiserver.shapes import Shape, shape_of
from testbed.apiserver.stored import item_of
from testbed.apiserver.subresources import BINDING, EVICTION, SCALE, bound, scale_of, scaled
from testbed.apiserver.unchanged import as_stored
from testbed.apiserver.validation import mistakes
from testbed.model.manifest import to_manifest
from testbed.model.objects.metadata import Object
from testbed.model.objects.pods import Pod
from testbed.store import Create, Delete, Store, Update

_NOT_HERE = "the server does not allow this method on the requested resource"
_OK: Json = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client is told: the object or a Status, and warnings (the header `Warning: 299`)."""

    body: Json
    code: int = 200
    warnings: tuple[str, ...] = ()


class Writer:
    """Of one store. All its requests raise ApiFailure."""

    def __init__(self, store: Store, now_s: Callable[[], float], face: Face) -> None:
        self._commits = Commits(store, face)
        self._now_s = now_s
        self._face = face

    # Create

    def create(self, target: Target, body: Any, options: WriteOptions) -> Answer:
        """Add an object to a collection; bind or evict a pod."""
        part = _part(target) or target.resource.plural
        if part in {"binding", "bindings"}:
            return self._bind(target, body, options)
        if part == "eviction":
            return self._evict(target, body, options)
        if target.name:
            raise method_not_allowed(_NOT_HERE, target.resource)
        document = received.received(target.resource, target.namespace, body)
        return self._create(target.resource, document, options)

    def _create(
        self,
        resource: Resource,
        document: Json,
        options: WriteOptions,
        owners: Sequence[Owned] = (),
    ) -> Answer:
        snapshot = self._commits.snapshot()
        metadata = document["metadata"]
        wanted = str(metadata.get("name") or metadata.get("generateName") or "")
        admission.check_namespace(resource, metadata.get("namespace", ""), wanted, snapshot)
        known, warnings = schema.pruned(received.new(document), resource, options.field_validation)
        fresh = {**known, "metadata": self._commits.named(resource, known["metadata"])}
        if fresh["kind"] == "Service":
            fresh["spec"] = one_address(fresh.get("spec") or {})
        fresh = schema.defaulted(self._completed(fresh, is_new=True))
        _refuse(resource, fresh, mistakes(fresh, None))
        item = self._commits.allocated(
            item_of(resource, schema.lean(ownership.with_owners(fresh, owners)))
        )
        done = self._commits.do(Create(item), dry_run=options.dry_run)
        return self._answer(resource, done, 201, (*warnings, *admission.warnings_of(fresh)))

    # Update and patch

    def update(self, target: Target, body: Any, options: WriteOptions) -> Answer:
        """Replace an object, or the part of it that is written by a subresource."""
        resource = target.resource
        if _part(target) == "scale":
            return self._scale(target, body, options)
        document = received.received(resource, target.namespace, body, target.name)
        current = self._commits.find(resource, target.namespace, target.name)
        if current is None:
            if target.subresource or not rules_of(resource.kind).create_on_update:
                raise not_found(resource, target.name)
            return self._create(resource, document, options)
        return self._replace(target, current, document, options)

    def patch(self, target: Target, content_type: str, patch: Any, options: WriteOptions) -> Answer:
        """Change an object by a patch, decoded from JSON (an apply: from YAML)."""
        resource = target.resource
        if content_type == APPLY_PATCH:
            return self._apply(target, patch, options)
        if options.force is not None:
            message = "Forbidden: may not be specified for non-apply patch"
            cause = Cause("FieldValueForbidden", message, "force")
            raise options_invalid("PatchOptions", [cause])
        current = self._commits.existing(resource, target.namespace, target.name)
        shown = served(current, resource, self._face)
        if _part(target) == "scale":
            document = patched(scale_of(shown), content_type, patch, _shape(SCALE))
            return self._scale(target, document, options)
        document = patched(shown, content_type, patch, _shape(resource))
        document = received.received(resource, target.namespace, document, target.name)
        return self._replace(target, current, document, options)

    def _apply(self, target: Target, patch: Any, options: WriteOptions) -> Answer:
        """Server-side apply: create the object, or make it what this manager wants of it."""
        resource = target.resource
        if not options.field_manager:
            cause = Cause(
                *("FieldValueRequired", "Required value: is required for apply patch"),
                "fieldManager",
            )
            raise options_invalid("PatchOptions", [cause])
        if _part(target) == "scale":
            patch = self._known_scale(target, patch, options)[0]
            patch = {"metadata": patch["metadata"], "spec": patch.get("spec", {})}
        document = received.received(resource, target.namespace, patch, target.name)
        if document["metadata"].get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        wanted, warnings = schema.pruned(document, resource, options.field_validation)
        wanted = received.applicable(dict(wanted), _part(target))
        current = self._commits.find(resource, target.namespace, target.name)
        if current is None and target.subresource is not None:
            raise not_found(resource, target.name)
        live = None if current is None else served(current, resource, self._face)
        mine = self._owned(target, ownership.APPLY, options.field_manager)
        merged, owners = ownership.apply(
            *(live, wanted, _shape(resource), mine), force=bool(options.force)
        )
        if current is None:
            answer = self._create(resource, merged, options, owners)
        else:
            if version := document["metadata"].get("resourceVersion"):
                merged = {**merged, "metadata": {**merged["metadata"], "resourceVersion": version}}
            answer = self._replace(target, current, merged, options, owners=owners)
        body = scale_of(answer.body) if _part(target) == "scale" else answer.body
        warnings = tuple(dict.fromkeys((*warnings, *answer.warnings)))
        return replace(answer, body=body, warnings=warnings)

    def _replace(
        self,
        target: Target,
        current: Object,
        document: Json,
        options: WriteOptions,
        *,
        owners: Sequence[Owned] = (),
    ) -> Answer:
        resource = target.resource
        stored, shown = to_manifest(current), served(current, resource, self._face)
        known, warnings = schema.pruned(document, resource, options.field_validation)
        changed = received.changed(resource, dict(known), shown, _part(target))
        if changed["kind"] == "Service":
            changed["spec"] = carried_over(changed.get("spec") or {}, shown["spec"])
        changed, shown = (
            schema.defaulted(self._completed(one, is_new=False)) for one in (changed, shown)
        )
        _refuse(resource, changed, mistakes(changed, shown))
        mine = self._owned(target, ownership.UPDATE, options.manager)
        owners = owners or ownership.update(shown, changed, _shape(resource), mine)
        changed = ownership.with_owners(changed, owners)
        for key in ("spec", "status"):  # defaults and times that readers are shown are not stored
            if key in changed and key in shown:
                changed[key] = as_stored(changed[key], shown[key], stored.get(key, {}))
        item = self._commits.allocated(item_of(resource, schema.lean(changed), current))
        ends = current.meta.deletion_s is not None and is_over(item)
        done = self._commits.do(_removal(item) if ends else Update(item), dry_run=options.dry_run)
        # The last that is seen of an object is without the finalizer that held it.
        done = item if ends else done
        return self._answer(resource, done, 200, (*warnings, *admission.warnings_of(changed)))

    def _owned(self, target: Target, operation: str, manager: str) -> Owned:
        """What is known of an owner before its fields are."""
        who = Manager(manager, operation, target.resource.group_version, _part(target))
        return Owned(who, frozenset(), rfc3339(self._now_s() + self._face.unix_offset_s))

    # Parts of objects

    def _scale(self, target: Target, body: Any, options: WriteOptions) -> Answer:
        resource = target.resource
        scale, warnings = self._known_scale(target, body, options)
        current = self._commits.existing(resource, target.namespace, target.name)
        wanted = scaled(served(current, resource, self._face), scale)
        answer = self._replace(target, current, wanted, options)
        return Answer(scale_of(answer.body), answer.code, warnings)

    def _known_scale(
        self, target: Target, body: Any, options: WriteOptions
    ) -> tuple[Json, tuple[str, ...]]:
        document = received.received(SCALE, target.namespace, body, target.name)
        scale, warnings = schema.pruned(document, SCALE, options.field_validation)
        _refuse(SCALE, document, mistakes(scale, None))
        return dict(scale), warnings

    def _bind(self, target: Target, body: Any, options: WriteOptions) -> Answer:
        document = received.received(BINDING, target.namespace, body, target.name)
        binding, warnings = schema.pruned(document, BINDING, options.field_validation)
        _refuse(BINDING, document, mistakes(binding, None))
        pods = of_kind("Pod")
        pod = self._commits.existing(pods, target.namespace, document["metadata"].get("name", ""))
        if isinstance(pod, Pod):
            self._commits.do(
                Update(bound(pod, binding, self._commits.snapshot())), dry_run=options.dry_run
            )
        return Answer(_OK, 201, warnings)

    def _evict(self, target: Target, body: Any, options: WriteOptions) -> Answer:
        """A deletion by another name: nobody here says how many pods must stay."""
        if isinstance(body, dict) and str(body.get("apiVersion", "")).startswith("policy/"):
            body = {**body, "apiVersion": EVICTION.group_version}
        document = received.received(EVICTION, target.namespace, body, target.name)
        eviction, warnings = schema.pruned(document, EVICTION, options.field_validation)
        asked = delete_options({}, eviction.get("deleteOptions"))
        asked = replace(asked, dry_run=asked.dry_run or options.dry_run)
        self.delete(replace(target, subresource=None), asked)
        return Answer(_OK, 201, warnings)

    # Delete

    def delete(self, target: Target, options: DeleteOptions) -> Answer:
        """Remove an object, or let it begin to end."""
        resource = target.resource
        current = self._commits.existing(resource, target.namespace, target.name)
        check_deletable(resource, current, options)
        write = deletion(current, options, self._now_s())
        done = self._commits.do(write, dry_run=options.dry_run)
        if isinstance(write, Update) or rules_of(resource.kind).returns_deleted:
            return self._answer(resource, done)
        return Answer(success(resource, current.meta.name, current.meta.uid))

    def delete_collection(self, selection: Selection, options: DeleteOptions) -> Answer:
        """Delete all objects that a selection takes; the answer is the list of them."""
        resource = selection.resource
        table = self._commits.snapshot().tables.get(resource.stored)
        found = [item for item in table.values() if selection.takes(item)] if table else []
        for item in found:
            self.delete(Target(resource, item.meta.namespace, item.meta.name), options)
        head = {"kind": f"{resource.kind}List", "apiVersion": resource.group_version}
        metadata = {"resourceVersion": str(self._commits.resource_version)}
        items = [served(item, resource, self._face) for item in found]
        return Answer({**head, "metadata": metadata, "items": items})

    def _completed(self, document: Json, *, is_new: bool) -> Json:
        snapshot, toleration_s = self._commits.snapshot(), self._face.toleration_s
        return admission.completed(document, snapshot, toleration_s, is_new=is_new)

    def _answer(
        self, resource: Resource, item: Object, code: int = 200, warnings: tuple[str, ...] = ()
    ) -> Answer:
        return Answer(served(item, resource, self._face), code, warnings)


def _part(target: Target) -> str:
    return target.subresource.name if target.subresource else ""


def _shape(resource: Resource) -> Shape:
    return shape_of(schema.served(), resource.group, resource.version, resource.kind)


def _removal(item: Object) -> Delete:
    return Delete(item.kind, item.meta.namespace, item.meta.name, item.meta.uid)


def _refuse(resource: Resource, document: Json, causes: Sequence[Cause]) -> None:
    if causes:
        name = document["metadata"].get("name") or document["metadata"].get("generateName") or ""
        raise invalid(resource, name, causes)
