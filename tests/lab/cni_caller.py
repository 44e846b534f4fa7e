"""A runtime as small as the CNI specification allows, which knows nothing of the testbed: it calls plug-ins.

`python cni_caller.py FOLDER:FOLDER PLUGIN IPAM` in a network and mount namespace of its own; what it asserts is
what the specification promises to a runtime.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

PATH, PLUGIN, IPAM = sys.argv[1:]
VERSION = "1.1.0" if IPAM == "testbed-local" else "1.0.0"
RANGES = [[{"subnet": "198.51.100.0/29"}], [{"subnet": "2001:db8::/64"}]]
ROUTES = [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]
CONFIG = {
    "cniVersion": VERSION,
    "name": "net",
    "type": PLUGIN,
    "isGateway": True,
    "mtu": 1400,
    "ipam": {"type": IPAM, "dataDir": "/run/data", "ranges": RANGES, "routes": ROUTES},
}


def call(command: str, container: str = "", **further: Any) -> tuple[int, dict[str, Any]]:
    """The plug-in's code, and what it printed."""
    env = {**os.environ, "CNI_COMMAND": command, "CNI_PATH": PATH}
    if container:
        env |= {"CNI_CONTAINERID": container, "CNI_IFNAME": "eth0"}
        env |= {"CNI_NETNS": f"/run/netns/{container}"}
    executable = next(
        path for folder in PATH.split(":") if (path := Path(folder) / PLUGIN).exists()
    )
    done = subprocess.run(
        [executable],
        input=json.dumps({**CONFIG, **further}),
        capture_output=True,
        text=True,
        env=env,
        timeout=300,
        check=False,
    )
    assert not done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout else {}


def shell(line: str) -> str:
    return subprocess.run(
        ["sh", "-ec", line], capture_output=True, text=True, timeout=400, check=True
    ).stdout


def inside(container: str, line: str) -> str:
    return shell(f"nsenter --net=/run/netns/{container} sh -ec '{line}'")


def own(result: dict[str, Any]) -> list[str]:
    return [one["address"].partition("/")[0] for one in result["ips"]]


shell("mount -t tmpfs tmpfs /run; mkdir /run/netns; ip link set lo up")
for name in ("a", "b"):
    shell(f"touch /run/netns/{name}; unshare --net=/run/netns/{name} true")

code, said = call("VERSION")
assert code == 0, said
assert VERSION in said["supportedVersions"]
code, said = call("ADD", "a", cniVersion="9.9.9")
assert (code, said["code"]) == (1, 1), said
code, said = call("FROB")
assert (code, said["code"]) == (1, 4), said

code, first = call("ADD", "a")
assert code == 0, first
code, second = call("ADD", "b")
assert code == 0, second
assert own(first) == ["198.51.100.2", "2001:db8::2"]
assert own(second) == ["198.51.100.3", "2001:db8::3"]
pods = [one for one in first["interfaces"] if one.get("sandbox")]
assert [(one["name"], one["sandbox"]) for one in pods] == [("eth0", "/run/netns/a")]
link = json.loads(inside("a", "ip -j link show eth0"))[0]
assert (link["address"], link["mtu"]) == (pods[0]["mac"], 1400)
for address in own(second):
    inside("a", f"ping -c 1 -w 300 {address}")

assert call("CHECK", "a", prevResult=first) == (0, {})
inside("b", "ip link set eth0 down")
code, said = call("CHECK", "b", prevResult=second)
assert code == 1
assert said["msg"].endswith(" is down"), said
inside("b", "ip link set eth0 up")

if VERSION == "1.1.0":
    assert call("STATUS") == (0, {})
    # What is not valid any more goes, though nobody has said DEL.
    assert call(
        "GC", **{"cni.dev/valid-attachments": [{"containerID": "a", "ifname": "eth0"}]}
    ) == (
        0,
        {},
    )
    assert "eth0" not in inside("b", "ip -br link")
    owners = json.loads(Path("/run/data/net.json").read_text())["owners"]
    assert sorted(owners) == own(first), owners
assert call("DEL", "b", prevResult=second) == (0, {})
assert call("DEL", "b") == (0, {})
assert "eth0" not in inside("b", "ip -br link")
inside("a", "ip link show eth0")

# An address is used again only after all others; then there is none left.
code, again = call("ADD", "b")
assert (code, own(again)[0]) == (0, "198.51.100.4"), again
for number in range(3):
    shell(f"touch /run/netns/m{number}; unshare --net=/run/netns/m{number} true")
    code, said = call("ADD", f"m{number}")
    assert code == 0, said
shell("touch /run/netns/late; unshare --net=/run/netns/late true")
code, said = call("ADD", "late")
assert code == 1
assert "198.51.100" in said["msg"], said
if VERSION == "1.1.0":
    code, said = call("STATUS")
    assert (code, said["code"]) == (1, 50), said
assert "eth0" not in inside("late", "ip -br link")
print("all as specified")
