"""What our plug-ins share: being called by the specification, and calling the one that gives out addresses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

from testbed.cni.protocol import (
    ADD,
    BAD_CONFIG,
    BAD_ENVIRONMENT,
    CHECK,
    DEL,
    GC,
    INCOMPATIBLE,
    IO_FAILURE,
    NOT_DECODED,
    STATUS,
    VALID_ATTACHMENTS,
    VERSION,
    Json,
)
from testbed.model.conflist import VERSIONS, at_least

SPOKEN = VERSIONS[VERSIONS.index("0.3.0") :]
"""The versions of the specification that our plug-ins speak."""
_SINCE = {CHECK: "0.4.0", GC: "1.1.0", STATUS: "1.1.0"}
_OWN = 100
"""Codes from here on are a plug-in's own."""


class Refusal(Exception):
    """What the plug-in answers instead of a result; `code` is CNI's."""

    def __init__(self, code: int, message: str, details: str = "") -> None:
        super().__init__(message)
        self.code, self.details = code, details


@dataclass(frozen=True, slots=True)
class Call:
    """What a plug-in was called with."""

    command: str
    config: Json
    version: str
    container: str = ""
    netns: str = ""
    interface: str = ""
    path: str = ""

    @property
    def network(self) -> str:
        return str(self.config.get("name", ""))

    def asked(self, capability: str) -> Any:
        """What the runtime says for a capability; None: nothing."""
        return (self.config.get("runtimeConfig") or {}).get(capability)

    @property
    def result_before(self) -> Json:
        """The result of the container's ADD. Raises Refusal where the runtime did not say it."""
        found = self.config.get("prevResult")
        if not isinstance(found, dict):
            raise Refusal(BAD_CONFIG, f"{self.command} needs prevResult")
        return found

    @property
    def valid(self) -> set[tuple[str, str]]:
        """Of GC: (container, interface) of all that is still attached. Raises Refusal."""
        for key in VALID_ATTACHMENTS:
            listed = self.config.get(key)
            if isinstance(listed, list):
                return {(one.get("containerID", ""), one.get("ifname", "")) for one in listed}
        raise Refusal(BAD_CONFIG, f"GC needs {VALID_ATTACHMENTS[0]}")


Verb = Callable[[Call], Json]
"""Does it; what it returns is printed where it is not empty. Raises Refusal."""


@dataclass(frozen=True, slots=True)
class Result:
    """What our ADDs answer."""

    interfaces: tuple[Json, ...]
    ips: tuple[Json, ...]
    routes: tuple[Json, ...]
    dns: Json = field(default_factory=dict)

    def told(self, version: str) -> Json:
        """In the words of a version."""
        ips: tuple[Json, ...] = self.ips
        interfaces: tuple[Json, ...] = self.interfaces
        if not at_least(version, "1.0.0"):
            ips = tuple(
                {"version": str(ip_interface(one["address"]).version), **one} for one in ips
            )
        if not at_least(version, "1.1.0"):
            interfaces = tuple(
                {key: item for key, item in one.items() if key != "mtu"} for one in interfaces
            )
        told = {"cniVersion": version, "interfaces": interfaces, "ips": ips, "routes": self.routes}
        return {**told, "dns": self.dns}


def run(verbs: Mapping[str, Verb]) -> None:
    """Be a plug-in: the whole of its process. Ends with 0 or 1."""
    version = SPOKEN[-1]
    try:
        command = os.environ.get("CNI_COMMAND", "")
        if command == VERSION:
            answer: Json = {"cniVersion": version, "supportedVersions": SPOKEN}
        else:
            call = _call(command, verbs)
            version = call.version
            answer = verbs[command](call)
    except Refusal as refusal:
        said = {"cniVersion": version, "code": refusal.code, "msg": str(refusal)}
        _print(said | ({"details": refusal.details} if refusal.details else {}))
        sys.exit(1)
    except OSError as error:
        _print({"cniVersion": version, "code": _OWN, "msg": error.strerror or str(error)})
        sys.exit(1)
    if answer:
        _print(answer)


def _call(command: str, verbs: Mapping[str, Verb]) -> Call:
    config = _config()
    version = config.get("cniVersion", "0.1.0")
    if version not in SPOKEN:
        spoken = f"there are {', '.join(SPOKEN)}"
        raise Refusal(INCOMPATIBLE, f"cniVersion {version} is not spoken here", spoken)
    if command not in verbs or not at_least(version, _SINCE.get(command, SPOKEN[0])):
        raise Refusal(BAD_ENVIRONMENT, f"unknown CNI_COMMAND: {command}")
    names = {ADD: "CONTAINERID NETNS IFNAME", CHECK: "CONTAINERID NETNS IFNAME"}
    needed = names.get(command, "CONTAINERID IFNAME" if command == DEL else "").split()
    if missing := [f"CNI_{name}" for name in needed if not os.environ.get(f"CNI_{name}")]:
        raise Refusal(BAD_ENVIRONMENT, f"{', '.join(missing)} missing")
    read = os.environ.get
    return Call(
        command,
        config,
        version,
        read("CNI_CONTAINERID", ""),
        read("CNI_NETNS", ""),
        read("CNI_IFNAME", ""),
        read("CNI_PATH", ""),
    )


def _config() -> Json:
    try:
        config = json.load(sys.stdin)
    except OSError as error:
        raise Refusal(IO_FAILURE, f"standard input: {error.strerror}") from None
    except ValueError as error:
        raise Refusal(NOT_DECODED, f"standard input is no JSON: {error}") from None
    if not isinstance(config, dict):
        raise Refusal(NOT_DECODED, "standard input is no JSON object")
    if not config.get("name"):
        raise Refusal(BAD_CONFIG, "name is missing")
    return config


def _print(answer: Json) -> None:
    json.dump(answer, sys.stdout, indent=2)
    print()


# Delegation: `ipam.type` is a plug-in, too, which is called with what we were called with.


def delegate(call: Call, command: str) -> Json:
    """Let the plug-in that gives out addresses do a command; returns its answer. Raises Refusal."""
    kind = (call.config.get("ipam") or {}).get("type")
    if not kind:
        raise Refusal(BAD_CONFIG, "ipam.type is missing: it gives out the addresses")
    executable = next(
        (
            path
            for folder in call.path.split(os.pathsep)
            if folder and os.access(path := Path(folder) / kind, os.X_OK)
        ),
        None,
    )
    if executable is None:
        raise Refusal(BAD_CONFIG, f"ipam.type {kind}: no such plug-in in {call.path}")
    done = subprocess.run(
        [executable],
        input=json.dumps(call.config).encode(),
        stdout=subprocess.PIPE,
        env={**os.environ, "CNI_COMMAND": command},
        check=False,
    )
    try:
        answer = json.loads(done.stdout) if done.stdout.strip() else {}
    except ValueError:
        raise Refusal(NOT_DECODED, f"{kind}'s answer is no JSON: {done.stdout[:200]!r}") from None
    if done.returncode:
        message = answer.get("msg") or f"it ended with code {done.returncode}"
        raise Refusal(answer.get("code", _OWN), f"{kind}: {message}", answer.get("details", ""))
    return dict(answer)
