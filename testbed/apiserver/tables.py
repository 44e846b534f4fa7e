"""Tables: what `kubectl get` prints, made by the server (`as=Table;g=meta.k8s.io`)."""

from __future__ import annotations

from testbed.apiserver.columns import KINDS
from testbed.apiserver.negotiation import Form
from testbed.apiserver.resources import Json, Resource


def head(resource: Resource, form: Form, metadata: Json) -> Json:
    """A table without its rows."""
    return {
        "kind": "Table",
        "apiVersion": form.api_version,
        "metadata": metadata,
        "columnDefinitions": [
            {
                "name": column.name,
                "type": column.type,
                "format": column.format,
                "description": column.description,
                "priority": column.priority,
            }
            for column in KINDS[resource.kind].columns
        ],
    }


def row(resource: Resource, document: Json, form: Form, now_s: float) -> Json:
    """The row of an object, given as the resource serves it."""
    made: Json = {"cells": KINDS[resource.kind].cells(document, now_s)}
    if form.include == "Object":
        made["object"] = document
    elif form.include == "Metadata":
        made["object"] = partial(document, form)
    return made


def partial(document: Json, form: Form) -> Json:
    """An object of which nothing but its metadata is told."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": form.api_version,
        "metadata": document["metadata"],
    }
