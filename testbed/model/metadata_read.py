"""`metadata` of a manifest, and Kubernetes' rules for names."""

from __future__ import annotations

import re

from testbed.model.fields import Fields
from testbed.model.objects.metadata import ObjectMeta, OwnerReference

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")

NAME_HINT = "use up to 63 of a-z, 0-9 and -, first and last a letter or digit, as in web-1"

_KEYS = frozenset(
    [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "labels",
        "annotations",
        "deletionGracePeriodSeconds",
        "ownerReferences",
        "finalizers",
        "generation",
    ]
)
_IGNORED = frozenset(
    [
        "creationTimestamp",
        "deletionTimestamp",
        "managedFields",
        "selfLink",
        "generateName",
    ]
)


def is_label_name(text: str) -> bool:
    """A DNS label (RFC 1123): what namespaces, services, nodes and workloads are named."""
    return _LABEL.fullmatch(text) is not None


def is_subdomain_name(text: str) -> bool:
    """A DNS subdomain (RFC 1123): what most other objects are named."""
    return len(text) <= 253 and _SUBDOMAIN.fullmatch(text) is not None


def meta(fields: Fields, namespace: str) -> ObjectMeta:
    """The object's metadata; `namespace` where it names none ("": it never has one)."""
    metadata, times = fields.child("metadata"), fields.child("testbed")
    if not fields.has("metadata"):
        fields.missing("metadata")
    metadata.only(_KEYS, _IGNORED)
    name = metadata.text("name", required=fields.has("metadata"))
    if name and not is_subdomain_name(name):
        metadata.wrong("name", f"{name[:60]!r} is no name", NAME_HINT)
    own_namespace = metadata.text("namespace")
    if own_namespace and not is_label_name(own_namespace):
        metadata.wrong("namespace", f"{own_namespace[:60]!r} is no namespace", NAME_HINT)
    version = metadata.text("resourceVersion")
    return ObjectMeta(
        name=name,
        namespace=(own_namespace or namespace) if namespace else "",
        uid=metadata.text("uid"),
        resource_version=int(version) if version.isdecimal() and len(version) < 20 else 0,
        labels=metadata.labels("labels"),
        annotations=metadata.labels("annotations"),
        creation_s=times.seconds("creationSeconds", 0.0),
        deletion_s=times.optional_seconds("deletionSeconds"),
        deletion_grace_period_s=metadata.optional_seconds("deletionGracePeriodSeconds"),
        owners=tuple(map(_owner, metadata.children("ownerReferences"))),
        finalizers=metadata.texts("finalizers"),
        generation=metadata.integer("generation", 0),
    )


def _owner(entry: Fields) -> OwnerReference:
    return OwnerReference(
        kind=entry.text("kind"),
        name=entry.text("name"),
        uid=entry.text("uid"),
        api_version=entry.text("apiVersion"),
        controller=entry.boolean("controller"),
        block_owner_deletion=entry.boolean("blockOwnerDeletion"),
    )
