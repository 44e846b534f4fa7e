"""What a lab does not have of a containerlab file, in words."""

from __future__ import annotations

import re

_NOT_RUN = "not run; `testbed exec LAB MACHINE -- …` runs a command once the lab is up"
_COMMANDS = (
    (
        re.compile(r"\bip\s+(-\S+\s+)*a(d|dd|ddr|ddress)?\s"),
        "not run: addresses are given by the lab",
    ),
    (
        re.compile(r"\b(ip\s+(-\S+\s+)*r(o|oute)?\s|route\s+add)"),
        "not run: routes are made by the lab",
    ),
    (re.compile(r"\bip\s+(-\S+\s+)*l(ink)?\s+set\s+\S+\s+up\s*$"), "not needed: links are up"),
    (re.compile(r"ip_forward|forwarding"), "not needed: routers and nodes forward"),
    (
        re.compile(r"\btc\s"),
        "not run: links: has delay, rate and loss, and `testbed fault` impairs",
    ),
)
_WORDS = {
    "image": "no image runs: a machine is a network namespace of one kernel",
    "image-pull-policy": "no image runs",
    "cmd": "no image runs",
    "entrypoint": "no image runs",
    "type": "hardware types mean nothing to a network namespace",
    "binds": "no file is mounted: machines show the files of this one",
    "env": "no variable is set: give it to `testbed exec`",
    "env-files": "no variable is set: give it to `testbed exec`",
    "ports": "no port is published on this machine",
    "startup-config": "no network operating system reads it",
    "license": "no network operating system reads it",
    "config": "no network operating system reads it",
    "mgmt-ipv4": "there is no management network: addresses are given by the lab",
    "mgmt-ipv6": "there is no management network: addresses are given by the lab",
    "mgmt_ipv4": "there is no management network: addresses are given by the lab",
    "mgmt_ipv6": "there is no management network: addresses are given by the lab",
    "network-mode": "each machine has a network of its own",
    "sysctls": "nodes and routers forward; other settings are the lab's own",
    "stages": "all machines start at once",
    "startup-delay": "all machines start at once",
    "cpu": "machines share this one: nothing is limited",
    "cpu-set": "machines share this one: nothing is limited",
    "memory": "machines share this one: nothing is limited",
    "healthcheck": "a machine of a lab has no health check",
}
_TOP = {
    "mgmt": "there is no management network: the control plane reaches machines by their links",
    "prefix": "machines have no containers that could be named",
    "settings": "certificates and the like are not made",
}


def word_for(key: str, text: str) -> str:
    """What becomes of a setting of a node (`key` "": of the file, called `text`)."""
    if not key:
        return f"{text}: {_TOP.get(text, 'means nothing here')}"
    shown = text if len(text) <= 60 else f"{text[:57]}…"
    if key == "exec":
        became = next((words for pattern, words in _COMMANDS if pattern.search(text)), _NOT_RUN)
        return f"exec `{shown}`: {became}"
    return f"{key} {shown}: {_WORDS.get(key, 'means nothing here')}"
