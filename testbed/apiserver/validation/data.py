"""What ConfigMaps and Secrets must be, and what of them stays as it was.

Source: ValidateConfigMap and ValidateSecret of `pkg/apis/core/validation/validation.go`.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from testbed.apiserver.validation.formats import config_key
from testbed.apiserver.validation.place import Place

_MOST_BYTES = 1024 * 1024
_ONCE_IMMUTABLE = "field is immutable when `immutable` is set"
_ACCOUNT_ANNOTATION = "kubernetes.io/service-account.name"
_REDACTED = "<secret contents redacted>"
_DOCKER = {
    "kubernetes.io/dockercfg": ".dockercfg",
    "kubernetes.io/dockerconfigjson": ".dockerconfigjson",
}


def config_map(item: Place) -> None:
    """Texts and bytes by name."""
    texts, binary = item["data"], item["binaryData"]
    for place, other in ((texts, binary), (binary, texts)):
        for key in place.mapping:
            place.entry(key).invalid(*config_key(key), value=key)
            if place is binary and key in other.mapping:
                place.entry(key).invalid("duplicate of key present in data", value=key)
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts.mapping.values())
    if size + sum(map(_decoded_size, binary.mapping.values())) > _MOST_BYTES:
        Place(None, "", item.causes).too_long(_MOST_BYTES)


def _decoded_size(text: str) -> int:
    return len(b64decode(text))


def secret(item: Place) -> None:
    """What its type asks for is there."""
    data = item["data"]
    for key in data.mapping:
        data.entry(key).invalid(*config_key(key), value=key)
    if sum(map(_decoded_size, data.mapping.values())) > _MOST_BYTES:
        data.too_long(_MOST_BYTES)
    kind = item["type"].text
    match kind:
        case "kubernetes.io/service-account-token":
            annotations = item["metadata"]["annotations"]
            if not annotations.entry(_ACCOUNT_ANNOTATION):
                annotations.entry(_ACCOUNT_ANNOTATION).required()
        case "kubernetes.io/dockercfg" | "kubernetes.io/dockerconfigjson":
            _json(data.entry(_DOCKER[kind]))
        case "kubernetes.io/basic-auth":
            keys = ("username", "password")
            if not any(key in data.mapping for key in keys):
                _all_required(data, keys)
        case "kubernetes.io/ssh-auth":
            _all_required(data, ("ssh-privatekey",))
        case "kubernetes.io/tls":
            _all_required(data, ("tls.crt", "tls.key"))


def _json(entry: Place) -> None:
    if entry.value is None:
        entry.required()
        return
    try:
        json.loads(b64decode(entry.text))
    except ValueError as error:
        entry.invalid(str(error), value=_REDACTED)


def _all_required(data: Place, keys: tuple[str, ...]) -> None:
    for key in keys:
        if key not in data.mapping:
            data.entry(key).required()


def config_map_update(item: Place, old: Mapping[str, Any]) -> None:
    _immutable(item, old, ("data", "binaryData"))


def secret_update(item: Place, old: Mapping[str, Any]) -> None:
    item["type"].unchanged(old.get("type"))
    _immutable(item, old, ("data",))


def _immutable(item: Place, old: Mapping[str, Any], keys: tuple[str, ...]) -> None:
    if not old.get("immutable"):
        return
    if not item["immutable"]:
        item["immutable"].forbidden(_ONCE_IMMUTABLE)
    for key in keys:
        if dict(item[key].mapping) != (old.get(key) or {}):
            item[key].forbidden(_ONCE_IMMUTABLE)
