"""Requests to a lab's Kubernetes API from outside it."""

from __future__ import annotations

import http.client
import json
import re
import ssl
from dataclasses import dataclass
from typing import Any

from testbed.errors import TestbedError
from testbed.lab.api_access import Access

_TIMEOUT_S = 60.0
_WARNING = re.compile(r'\d{3} \S+ "((?:[^"\\]|\\.)*)"')
"""RFC 7234, section 5.5: code, agent, quoted text."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `warnings` are the server's to the user."""

    code: int
    body: dict[str, Any]
    warnings: tuple[str, ...]


class ApiClient:
    """One connection, kept open."""

    def __init__(self, access: Access) -> None:
        tls = ssl.create_default_context(cadata=access.ca)
        self._connection = http.client.HTTPSConnection(
            access.address, timeout=_TIMEOUT_S, context=tls
        )
        self._head = {"Authorization": f"Bearer {access.token}", "Accept": "application/json"}

    def close(self) -> None:
        self._connection.close()

    def get(self, path: str) -> Answer:
        return self._ask("GET", path)

    def patch(self, path: str, content_type: str, body: dict[str, Any]) -> Answer:
        return self._ask("PATCH", path, json.dumps(body).encode(), content_type)

    def _ask(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> Answer:
        head = {**self._head, **({"Content-Type": kind} if kind else {})}
        try:
            self._connection.request(method, path, body, head)
            response = self._connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise TestbedError(f"no answer from the lab's API: {error}", "is it ending?") from None
        said = _WARNING.findall(", ".join(response.headers.get_all("Warning", [])))
        return Answer(response.status, _document(text, method, path), tuple(map(_plain, said)))


def _document(text: bytes, method: str, path: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise TestbedError(f"the lab's API answered {method} {path} with no JSON: {text[:80]!r}")
    return document


def _plain(quoted: str) -> str:
    return re.sub(r"\\(.)", r"\1", quoted)
