"""A lab of fake nodes and its Kubernetes API as a client sees it: with TLS and a token."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.sandbox import TESTBED
from testbed.lab.api_access import Access
from testbed.lab.api_client import ApiClient
from testbed.lab.client import Lab

LAB = "bench-api"
_PATIENCE = "10m"
_REST_S = 2.0


@dataclass(frozen=True, slots=True)
class ApiLab:
    """One that is up; `up_s` is what `testbed up` took, start of Python included."""

    lab: Lab
    access: Access
    up_s: float

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.access.address.rpartition(":")
        return host, int(port)

    def tls(self) -> ssl.SSLContext:
        """What a client trusts."""
        return ssl.create_default_context(cadata=self.access.ca)

    def request(self, path: str, headers: str = "") -> bytes:
        """A GET, as bytes."""
        token = self.access.token
        return (
            f"GET {path} HTTP/1.1\r\nHost: {self.access.address}\r\n"
            f"Authorization: Bearer {token}\r\nAccept: application/json\r\n{headers}\r\n"
        ).encode()


@contextmanager
def api_lab(nodes: int, workloads: dict[str, Any], services: dict[str, Any]) -> Iterator[ApiLab]:
    """A lab of one live node and as many fake ones. It is down afterwards."""
    topology = {
        "name": LAB,
        "network": {"podCIDR": "10.128.0.0/9", "serviceCIDR": "10.96.0.0/12"},
        "nodes": {"live": {}, "ghost": {"fake": nodes}},
        "dns": {"replicas": 0},
        "workloads": workloads,
        "services": services,
    }
    with TemporaryDirectory(prefix="bench-api-") as folder:
        file = Path(folder) / "topology.yaml"
        file.write_text(json.dumps(topology))
        start = time.monotonic()
        try:
            _run("up", str(file), "--name", LAB, "--timeout", _PATIENCE)
            up_s = time.monotonic() - start
            lab = Lab.attach(LAB)
            access = lab.kubernetes()
            _await_rest(access)
            yield ApiLab(lab, access, up_s)
        finally:
            _run("down", LAB)


def _await_rest(access: Access) -> None:
    """Return when nothing has changed for a while: an API that opens writes what clients look for."""
    client, before = ApiClient(access), ""
    try:
        while (now := version(client, "/api/v1/pods")) != before:
            before = now
            time.sleep(_REST_S)
    finally:
        client.close()


def version(client: ApiClient, path: str) -> str:
    """Of the state that a list shows: a watch can begin there."""
    return str(client.get(f"{path}?limit=1").body["metadata"]["resourceVersion"])


def _run(*words: str) -> None:
    subprocess.run([TESTBED, *words], stdout=sys.stderr, stderr=subprocess.DEVNULL, check=True)
