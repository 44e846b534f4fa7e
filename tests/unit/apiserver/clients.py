"""A client of a writer, without HTTP: requests by kind and name, in namespace `default`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from testbed.apiserver.failure import ApiFailure
from testbed.apiserver.options import DeleteOptions, WriteOptions
from testbed.apiserver.presented import Face
from testbed.apiserver.resources import of_kind
from testbed.apiserver.routing import Target
from testbed.apiserver.writing import Answer, Writer
from testbed.model.objects.metadata import Object
from testbed.store import Store

Json = dict[str, Any]

V4, V6 = "10.96.0.0/24", "fd00:96::/112"
WRITE, DRY = WriteOptions(), WriteOptions(dry_run=True)
POD_SPEC: Json = {"containers": [{"name": "c", "image": "nginx:1.27"}]}
TEMPLATE: Json = {"metadata": {"labels": {"app": "web"}}, "spec": POD_SPEC}
SPECS: Mapping[str, Json] = {
    "Pod": {"spec": POD_SPEC},
    "Service": {"spec": {"ports": [{"port": 80}], "selector": {"app": "web"}}},
    "Deployment": {
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": TEMPLATE, "replicas": 2}
    },
    "ConfigMap": {"data": {"a": "1"}},
    "Lease": {"spec": {"holderIdentity": "a"}},
    "NetworkPolicy": {"spec": {"podSelector": {}}},
    "Endpoints": {},
    "Namespace": {},
    "Node": {},
}


class Client:
    """Its clock stands at 100 s until it is moved; namespace `default` is there."""

    def __init__(self, *service_cidrs: str) -> None:
        self.now_s = 100.0
        self.store = Store(lambda: self.now_s)
        face = Face(service_cidrs or (V4,), 0.0)
        self.writer = Writer(self.store, lambda: self.now_s, face)
        self.create("Namespace", "default")

    def target(
        self, kind: str, name: str = "", part: str = "", namespace: str = "default"
    ) -> Target:
        resource = of_kind(kind)
        where = namespace if resource.namespaced else ""
        return Target(resource, where, name, resource.subresource(part) if part else None)

    def create(self, kind: str, name: str = "", options: WriteOptions = WRITE, **body: Any) -> Json:
        """Of the kind's usual manifest, with these keys instead."""
        metadata = {**({"name": name} if name else {}), **body.pop("metadata", {})}
        document = {**SPECS.get(kind, {}), "metadata": metadata, **body}
        return self.writer.create(self.target(kind), document, options).body

    def update(self, document: Json, part: str = "", options: WriteOptions = WRITE) -> Json:
        target = self.target(document["kind"], document["metadata"]["name"], part)
        return self.writer.update(target, document, options).body

    def patch(
        self, kind: str, name: str, patch: Any, form: str = "merge-patch+json", **more: Any
    ) -> Answer:
        """`part` and `options` as elsewhere."""
        target = self.target(kind, name, more.get("part", ""))
        options = more.get("options", WRITE)
        return self.writer.patch(target, f"application/{form}", patch, options)

    def apply(self, kind: str, name: str, manager: str, body: Json, *, force: bool = False) -> Json:
        options = WriteOptions(field_manager=manager, force=force)
        return self.patch(kind, name, body, "apply-patch+yaml", options=options).body

    def delete(self, kind: str, name: str, **options: Any) -> Json:
        return self.writer.delete(self.target(kind, name), DeleteOptions(**options)).body

    def stored(self, kind: str, name: str) -> Object | None:
        target = self.target(kind, name)
        return self.store.snapshot().tables[kind].get((target.namespace, name))


def refusal(call: Any, *args: Any, **named: Any) -> Json:
    """The Status that a request is refused with."""
    with pytest.raises(ApiFailure) as caught:
        call(*args, **named)
    return caught.value.status()
