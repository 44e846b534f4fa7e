"""What clients send -> plain values."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import yaml

from testbed.apiserver import protobuf
from testbed.apiserver.failure import bad_request
from testbed.apiserver.negotiation import PROTOBUF, is_yaml
from testbed.apiserver.resources import Json

LIMIT = 3 << 20
"""Bytes of a body, as kube-apiserver has it."""


class _Loader(yaml.CSafeLoader):
    """YAML's values that JSON has too: a date stays the text that it is."""


_Loader.yaml_implicit_resolvers = {
    start: [one for one in found if one[0] != "tag:yaml.org,2002:timestamp"]
    for start, found in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def decoded(body: bytes, media_type: str) -> Any:
    """The JSON, or where the type allows it YAML, of a body. Raises ApiFailure (400)."""
    try:
        value = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        if not is_yaml(media_type):
            raise bad_request(f"the body is no JSON: {_told(error)}") from error
        value = _of_yaml(body)
    return _without_surrogates(value) if b"\\u" in body else value


def mapping(body: bytes, media_type: str) -> Json:
    """The object of a body. Raises ApiFailure (400)."""
    if media_type == PROTOBUF:
        return protobuf.decoded(body)
    value = decoded(body, media_type)
    if not isinstance(value, dict):
        raise bad_request(f"the body is no object, but {_kind(value)}")
    return value


def _of_yaml(body: bytes) -> Any:
    try:
        if any(isinstance(one, yaml.AliasEvent) for one in yaml.parse(body, yaml.CSafeLoader)):
            raise bad_request("the body is YAML with aliases, which are not read: write them out")
        return json.loads(json.dumps(yaml.load(body, _Loader), allow_nan=False))
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise bad_request(f"the body is neither JSON nor YAML: {_told(error)}") from error


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


def _told(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)[:300]


def _without_surrogates(value: Any) -> Any:
    """Halves of characters, which no UTF-8 has, as the replacement character."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_without_surrogates(one) for one in value]
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(one) for key, one in value.items()}
    return value


def _kind(value: Any) -> str:
    kinds = {list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")
