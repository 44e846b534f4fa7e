"""Small documents around the objects: the version, a kubeconfig."""

from __future__ import annotations

import os
import platform
from typing import Any

from testbed import __version__
from testbed.apiserver.resources import Json

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_ARCHITECTURE = _MACHINES.get(platform.machine(), platform.machine())
VERSION: Json = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": f"v1.36.0+testbed.{__version__}",
    "gitCommit": "",
    "gitTreeState": "",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": f"linux/{_ARCHITECTURE}",
}
"""Of the API that is modelled; the suffix says whose it is. Clients want every key."""
NODE_INFO: Json = {
    "machineID": "",
    "systemUUID": "",
    "bootID": "",
    "kernelVersion": platform.release(),
    "osImage": "testbed",
    "containerRuntimeVersion": f"testbed://{__version__}",
    "kubeletVersion": VERSION["gitVersion"],
    "kubeProxyVersion": "",
    "operatingSystem": "linux",
    "architecture": _ARCHITECTURE,
}
"""Of the lab's nodes, which all are of one machine's kernel."""
_MEMORY_KIB = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024
NODE_CAPACITY: Json = {
    "cpu": str(os.cpu_count() or 1),
    "memory": f"{_MEMORY_KIB}Ki",
    "pods": "110",
}
"""The same machine's; each of the nodes has all of it."""


def kubeconfig(server: str, name: str) -> dict[str, Any]:
    """How clients find the API: no user, no certificates."""
    context = {"cluster": name, "user": name}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server}}],
        "users": [{"name": name, "user": {}}],
        "contexts": [{"name": name, "context": context}],
        "current-context": name,
    }
