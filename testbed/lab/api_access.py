"""How a client outside the lab comes to the lab's Kubernetes API: its address on loopback, and a kubeconfig.

The listening socket is made here, in the user's own network, and handed to the lab, which is in another one:
nothing stands between client and server, and it is gone with the lab.
"""

from __future__ import annotations

import base64
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.lab.api_users import ADMIN
from testbed.lab.wire import Connection

FILE = "admin.conf"
"""Of a lab's folder: the kubeconfig, by kubeadm's name for it."""
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Access:
    """What a client needs: HOST:PORT, the certificate of the lab's authority (PEM), a bearer token."""

    address: str
    ca: str
    token: str


def access(connection: Connection) -> Access:
    """Ask a lab for its API, which opens it."""
    answer = connection.call("api")
    if not answer["address"]:
        with socket.create_server((_LOOPBACK, 0), backlog=128) as listener:
            address = f"{_LOOPBACK}:{listener.getsockname()[1]}"
            answer = connection.call("listen_api", {"address": address}, [listener.fileno()])
    return Access(**answer)


def kubeconfig(lab: str, found: Access) -> dict[str, Any]:
    """The file that kubectl and client libraries read; its one context is `testbed-LAB`."""
    name = f"testbed-{lab}"
    cluster = {
        "server": f"https://{found.address}",
        "certificate-authority-data": base64.b64encode(found.ca.encode()).decode(),
    }
    user = f"{name}-{ADMIN}"
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": user, "user": {"token": found.token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        "current-context": name,
    }


def write_private(path: Path, text: str) -> None:
    """Replace a file at once, by one that only its owner may read. Raises OSError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w") as file:
            os.fchmod(fd, 0o600)
            file.write(text)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
