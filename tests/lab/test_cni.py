"""Pods wired by CNI plug-ins: the reference ones and our own, by the specification and to the same effect."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from testbed.errors import MissingFeature, UsageError
from testbed.lab.client import Lab
from testbed.model.loader import load
from testbed.model.objects.pods import Pod
from testbed.model.topology import Topology
from testbed.traffic.spec import LoadSpec
from tests.lab import cni_scenario
from tests.lab.cni_scenario import BRIDGED, DOOR, KINDS, SHIPPED_FILE, lab_of, listed
from tests.lab.conftest import ONCE, User, unique_name
from tests.lab.reachability import topology

pytestmark = pytest.mark.lab

PATIENCE_S = 300.0


@ONCE
@pytest.mark.parametrize("kind", KINDS)
def test_plugins_give_the_reachability_of_our_own_links(user: User, kind: str) -> None:
    done = subprocess.run(
        [*user.prefix, sys.executable, "-m", cni_scenario.__name__, kind],
        capture_output=True,
        text=True,
        env=dict(user.env),
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_a_list_for_both_ip_families() -> None:
    dual = load(SHIPPED_FILE, ['network.podCIDR="10.244.0.0/16,fd00:10:244::/56"'])
    wanted = lab_of(BRIDGED).model_copy(update={"network": dual.network, "manifests": ()})
    with Lab.up(wanted, name=unique_name(), ephemeral=True) as lab:
        ways = lab.reachability(["a-0", "n1"], ["b-0", "c-0"])
    assert [one.outcome for one in ways] == ["reached"] * 8, ways


NOTER = """#!{python}
# Notes how it was called, passes on what came before it, and fails as long as a file says so.
import json, os, pathlib, sys
told = json.load(sys.stdin)
command = os.environ["CNI_COMMAND"]
if command == "VERSION":
    print(json.dumps({{"cniVersion": "1.1.0", "supportedVersions": ["0.4.0", "1.0.0", "1.1.0"]}}))
    sys.exit()
folder = pathlib.Path(told["notes"])
with open(folder / "calls", "a") as calls:
    names = {{key: value for key, value in os.environ.items() if key.startswith("CNI_")}}
    print(json.dumps({{"name": told["as"], "env": names, "config": told}}), file=calls)
if command == "ADD" and (folder / "broken").exists():
    print(json.dumps({{"cniVersion": "1.1.0", "code": 11, "msg": "the cable is out", "details": "plug it in"}}))
    sys.exit(1)
if command == "ADD":
    print(json.dumps(told["prevResult"]))
"""


@pytest.fixture(scope="module")
def noted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the plug-in `noter`, and with what it noted."""
    folder = tmp_path_factory.mktemp("noted")
    (folder / "noter").write_text(NOTER.format(python=sys.executable))
    (folder / "noter").chmod(0o755)
    return folder


def with_workloads(workloads: dict[str, Any], noted: Path) -> Topology:
    """Two noters behind our own plug-ins, in the words of 1.1.0."""
    noters = (
        {"type": "noter", "as": "first", "notes": str(noted)},
        {
            "type": "noter",
            "as": "second",
            "notes": str(noted),
            "capabilities": {"portMappings": True, "bandwidth": True},
        },
    )
    conflist = listed(BRIDGED, *noters, version="1.1.0")
    cni = {"conflist": conflist, "path": [str(noted)]}
    return topology({"cni": cni}, workloads=workloads, manifests=(DOOR,))


@pytest.fixture(scope="module")
def lab(noted: Path) -> Iterator[Lab]:
    with Lab.up(with_workloads({}, noted), name=unique_name(), ephemeral=True) as running:
        yield running


def calls(noted: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (noted / "calls").read_text().splitlines()]


def of(noted: Path, *commands: str) -> list[tuple[str, str]]:
    found = ((one["env"]["CNI_COMMAND"], one["name"]) for one in calls(noted))
    return [one for one in found if one[0] in commands]


def test_an_attachment_is_made_in_order_and_looked_at(lab: Lab, noted: Path) -> None:
    assert of(noted, "ADD", "CHECK") == [
        ("ADD", "first"),
        ("ADD", "second"),
        ("CHECK", "first"),
        ("CHECK", "second"),
    ]
    first, second = (one for one in calls(noted) if one["env"]["CNI_COMMAND"] == "ADD")
    assert first["env"] == second["env"]
    env, config = second["env"], second["config"]
    assert env["CNI_IFNAME"] == "eth0"
    assert env["CNI_NETNS"].startswith("/proc/")
    assert "K8S_POD_NAME=door;" in env["CNI_ARGS"]
    assert (config["name"], config["cniVersion"]) == ("pods", "1.1.0")
    # Only who has a capability is told, and of that only what the pod asks for.
    assert "runtimeConfig" not in first["config"]
    ports = [{"hostPort": 8000, "containerPort": 8080, "protocol": "tcp", "hostIP": ""}]
    assert config["runtimeConfig"] == {"portMappings": ports}
    assert "capabilities" not in config
    (pod,) = lab.inspect()["pods"]
    assert pod["ip"] == config["prevResult"]["ips"][0]["address"].partition("/")[0]
    # Before the first pod of each node: what is left of earlier lives, and whether it can begin.
    assert of(noted, "GC", "STATUS")[:4] == [
        (command, name) for command in ("GC", "STATUS") for name in ("first", "second")
    ]


def test_what_a_plugin_says_is_the_pods_event_and_it_is_tried_again(lab: Lab, noted: Path) -> None:
    (noted / "calls").write_text("")
    (noted / "broken").touch()
    begun_ns = lab.now_ns()
    with ThreadPoolExecutor(1) as aside:
        other = lab.another()
        more = with_workloads({"late": {"node": "n2"}}, noted)
        changed = aside.submit(other.change, more, PATIENCE_S)
        failed = lab.wait_event(
            lambda one: one.kind == "failed" and one.t_ns > begun_ns, PATIENCE_S
        )
        assert (failed.source, failed.node, failed.object) == ("cni", "n2", "default/late-0")
        assert failed.detail["code"] == 11
        said = 'plugin type="noter" failed (add): the cable is out; plug it in'
        assert failed.detail["message"] == said
        # Undone in reverse, also what was not reached, before it is tried again.
        begun = of(noted, "ADD", "DEL")[:3]
        assert begun == [("ADD", "first"), ("DEL", "second"), ("DEL", "first")]
        pod = next(one for one in lab.snapshot().list(Pod) if one.meta.name == "late-0")
        assert (pod.status.reason, pod.status.message) == ("FailedCreatePodSandBox", said)
        (noted / "broken").unlink()
        changed.result(PATIENCE_S)
        other.close()
    # The address that a failed attempt had was given back: the next in turn is the next one's.
    attempts = of(noted, "ADD").count(("ADD", "first"))
    assert attempts > 1
    (late,) = (row for row in lab.inspect()["pods"] if row["name"] == "late-0")
    assert late["ip"] == f"10.244.1.{1 + attempts}"


def test_what_was_attached_when_a_node_lost_its_power_is_undone_when_it_boots(
    lab: Lab, noted: Path
) -> None:
    (noted / "calls").write_text("")
    lab.fault("stop-node", "n1")
    assert of(noted, "DEL") == []  # nobody was there to say so
    before = lab.now_ns()
    lab.heal("n1")
    lab.wait_event(
        lambda one: (
            (one.source, one.kind, one.object) == ("cni", "added", "default/door")
            and one.t_ns > before
        ),
        PATIENCE_S,
    )
    assert of(noted, "DEL", "GC", "STATUS", "ADD") == [
        ("DEL", "second"),
        ("DEL", "first"),
        *((verb, name) for verb in ("GC", "STATUS", "ADD") for name in ("first", "second")),
    ]
    gone, *_ = (one for one in calls(noted) if one["env"]["CNI_COMMAND"] == "DEL")
    assert gone["env"]["CNI_NETNS"] == ""
    assert gone["config"]["prevResult"]["ips"]
    collected, *_ = (one for one in calls(noted) if one["env"]["CNI_COMMAND"] == "GC")
    assert collected["config"]["cni.dev/valid-attachments"] == []


def test_plugins_that_are_not_there_are_named_all_at_once() -> None:
    nowhere = lab_of(listed({"type": "nowhere", "ipam": {"type": "neither"}}))
    with pytest.raises(MissingFeature, match="no CNI plug-in nowhere, neither in"):
        Lab.up(nowhere, name=unique_name(), ephemeral=True)


def test_more_client_addresses_than_plugins_give_are_refused(lab: Lab) -> None:
    spec = LoadSpec(source="door", url="http://10.244.0.2:8080/", connections=60_000, reuse=1)
    with pytest.raises(UsageError, match="CNI plug-ins give a pod one"):
        lab.load(spec)
