"""OpenAPI 2 documents in the protobuf form that kubectl asks for.

Source: `openapiv2/OpenAPIv2.proto` of google/gnostic, whose messages mirror the document's JSON, and
https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Json = Mapping[str, Any]
_Encode = Callable[[Any], bytes]


def encoded(document: Json) -> bytes:
    """The document as gnostic's message `Document`."""
    return _message(_DOCUMENT, document)


# The wire


def _varint(number: int) -> bytes:
    data = bytearray()
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)
    return bytes(data)


def _sized(field: int, data: bytes) -> bytes:
    """A field of a text, of bytes or of a message."""
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _text(field: int) -> _Encode:
    return lambda value: _sized(field, value.encode())


def _flag(field: int) -> _Encode:
    return lambda value: _varint(field << 3) + b"\x01" if value else b""


def _each(encode: _Encode) -> _Encode:
    return lambda values: b"".join(map(encode, values))


def _inside(field: int, encode: _Encode) -> _Encode:
    """A field whose message `encode` makes the content of."""
    return lambda value: _sized(field, encode(value))


# Messages: the keys of a mapping and what makes a field of each

_Fields = dict[str, _Encode]
_NAME, _VALUE = _text(1), 2


def _message(fields: _Fields, value: Json) -> bytes:
    """The content of a message; keys that begin with `x-` are its vendor extensions."""
    return b"".join(_parts(fields, value))


def _parts(fields: _Fields, value: Json) -> Iterator[bytes]:
    extension = fields.get("x-")
    for key, inner in value.items():
        if key in fields:
            yield fields[key](inner)
        elif key.startswith("x-") and extension is not None:
            yield extension((key, inner))
        else:
            raise ValueError(f"no field of the protobuf form holds {key!r}")


def _of(field: int, fields: _Fields) -> _Encode:
    """A field that holds a message of its own."""
    return _inside(field, lambda value: _message(fields, value))


def _named(field: int, encode: _Encode) -> _Encode:
    """A field for one (name, value) pair; `encode` makes the value's field."""
    return _inside(field, lambda pair: _NAME(pair[0]) + encode(pair[1]))


def _entries(encode: _Encode) -> _Encode:
    """A mapping as the repeated fields of its pairs."""
    return lambda value: b"".join(map(encode, value.items()))


def _any(field: int) -> _Encode:
    """Whatever it is, as YAML, which JSON is."""
    return lambda value: _sized(field, _sized(2, json.dumps(value).encode()))


def _extension(field: int) -> _Encode:
    return _named(field, _any(_VALUE))


def _type(value: str | list[str]) -> bytes:
    return _each(_text(1))([value] if isinstance(value, str) else value)


def _or_flag(value: Any) -> bytes:
    """additionalProperties: a schema, or whether there may be any."""
    return _flag(2)(value) if isinstance(value, bool) else _of(1, _SCHEMA)(value)


def _parameter(value: Json) -> bytes:
    """A parameter, which is either the body or one of those that are not."""
    if value["in"] == "body":
        return _sized(1, _of(1, _BODY)(value))
    of_path = value["in"] == "path"
    simple = _of(4, _PATH)(value) if of_path else _of(3, _QUERY)(value)
    return _sized(1, _sized(2, simple))


_INFO: _Fields = {"title": _text(1), "version": _text(2), "description": _text(3)}
_SCHEMA: _Fields = {
    "$ref": _text(1),
    "format": _text(2),
    "title": _text(3),
    "description": _text(4),
    "default": _any(5),
    "pattern": _text(13),
    "required": _each(_text(19)),
    "enum": _each(_any(20)),
    "additionalProperties": _inside(21, _or_flag),
    "type": _inside(22, _type),
    "x-": _extension(31),
}
_SCHEMA["items"] = _inside(23, _of(1, _SCHEMA))
_SCHEMA["allOf"] = _each(_of(24, _SCHEMA))
_SCHEMA["properties"] = _inside(25, _entries(_named(1, _of(_VALUE, _SCHEMA))))
_BODY: _Fields = {
    **{"description": _text(1), "name": _text(2), "in": _text(3), "required": _flag(4)},
    "schema": _of(5, _SCHEMA),
}
_SIMPLE: _Fields = {
    **{"required": _flag(1), "in": _text(2), "description": _text(3), "name": _text(4)},
}
"""Of the query and of the path, whose other fields differ in number."""
_QUERY = {**_SIMPLE, "type": _text(6)}
_PATH = {**_SIMPLE, "type": _text(5)}
_RESPONSE: _Fields = {"description": _text(1), "schema": _inside(2, _of(1, _SCHEMA))}
_OPERATION: _Fields = {
    "tags": _each(_text(1)),
    "description": _text(3),
    "operationId": _text(5),
    "produces": _each(_text(6)),
    "consumes": _each(_text(7)),
    "parameters": _each(_inside(8, _parameter)),
    "responses": _inside(9, _entries(_named(1, _inside(_VALUE, _of(1, _RESPONSE))))),
    "schemes": _each(_text(10)),
    "x-": _extension(13),
}
_PATH_ITEM: _Fields = {
    **{"get": _of(2, _OPERATION), "put": _of(3, _OPERATION), "post": _of(4, _OPERATION)},
    **{"delete": _of(5, _OPERATION), "patch": _of(8, _OPERATION)},
    "parameters": _each(_inside(9, _parameter)),
}
_DOCUMENT: _Fields = {
    "swagger": _text(1),
    "info": _of(2, _INFO),
    "paths": _inside(8, _entries(_named(2, _of(_VALUE, _PATH_ITEM)))),
    "definitions": _inside(9, _entries(_named(1, _of(_VALUE, _SCHEMA)))),
}
