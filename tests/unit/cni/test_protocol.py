"""What plug-ins are told, and what is read of their answers."""

from __future__ import annotations

from ipaddress import ip_interface
from typing import Any

import pytest

from testbed.cni.protocol import (
    ADD,
    GC,
    Container,
    Network,
    PluginFailed,
    attached,
    common_version,
    configuration,
    environment,
)

CONTAINER = Container(
    "c1",
    "/proc/2/fd/9",
    "eth0",
    (("IgnoreUnknown", "1"), ("K8S_POD_NAME", "web-0")),
    {"portMappings": [{"hostPort": 80}], "bandwidth": {"ingressRate": 1}},
)
NETWORK = Network("pods", "1.0.0")


def test_the_environment_is_the_same_for_all_plugins_of_a_list() -> None:
    assert environment(ADD, "/opt/cni/bin:/x", CONTAINER) == {
        "CNI_COMMAND": "ADD",
        "CNI_PATH": "/opt/cni/bin:/x",
        "CNI_CONTAINERID": "c1",
        "CNI_NETNS": "/proc/2/fd/9",
        "CNI_IFNAME": "eth0",
        "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAME=web-0",
    }
    assert set(environment(GC, "/opt/cni/bin")) == {"CNI_COMMAND", "CNI_PATH"}


@pytest.mark.parametrize(
    ("plugin", "further", "want"),
    [
        # The list's name and version replace what the plug-in has.
        ({"type": "a", "name": "own", "cniVersion": "0.1.0"}, {}, {"type": "a"}),
        ({"type": "a", "capabilities": {"portMappings": True, "mac": True}}, {},
         {"type": "a", "runtimeConfig": {"portMappings": [{"hostPort": 80}]}}),
        ({"type": "a", "capabilities": {"portMappings": False}}, {}, {"type": "a"}),
        ({"type": "a"}, {"prevResult": {"ips": []}}, {"type": "a", "prevResult": {"ips": []}}),
        ({"type": "a"}, {"prevResult": None}, {"type": "a"}),
    ],
)  # fmt: skip
def test_a_plugin_is_told_what_is_written_and_what_it_asked_for(
    plugin: dict[str, Any], further: dict[str, Any], want: dict[str, Any]
) -> None:
    told = configuration(plugin, NETWORK, CONTAINER, **further)
    assert told == {"cniVersion": "1.0.0", "name": "pods", **want}


INTERFACES = [
    {"name": "cni0", "mac": "02:00:00:00:00:01"},
    {"name": "veth1", "mac": "02:00:00:00:00:02"},
    {"name": "eth0", "mac": "02:00:00:00:00:03", "sandbox": "/proc/2/fd/9"},
]
RESULTS: list[tuple[str, dict[str, Any], list[str], str]] = [
    ("0.1.0", {"ip4": {"ip": "198.51.100.2/24"}}, ["198.51.100.2/24"], ""),
    ("0.2.0", {"ip4": {"ip": "198.51.100.2/24"}, "ip6": {"ip": "2001:db8::2/64"}},
     ["198.51.100.2/24", "2001:db8::2/64"], ""),
    ("0.3.1", {"ips": [{"version": "4", "address": "198.51.100.2/24"}]}, ["198.51.100.2/24"], ""),
    ("0.4.0", {"interfaces": INTERFACES,
               "ips": [{"version": "4", "address": "198.51.100.2/24", "interface": 2}]},
     ["198.51.100.2/24"], "veth1"),
    # An address of the bridge is not the pod's.
    ("1.0.0", {"interfaces": INTERFACES,
               "ips": [{"address": "198.51.100.1/24", "interface": 0},
                       {"address": "2001:db8::2/64", "interface": 2}]}, ["2001:db8::2/64"], "veth1"),
    ("1.1.0", {"interfaces": [{"name": "eth0", "mtu": 1450, "sandbox": "/x"}],
               "ips": [{"address": "198.51.100.2/32", "interface": 0}]}, ["198.51.100.2/32"], ""),
    ("1.0.0", {}, [], ""),
]  # fmt: skip


@pytest.mark.parametrize(("version", "result", "addresses", "node_interface"), RESULTS)
def test_results_of_every_version_are_read(
    version: str, result: dict[str, Any], addresses: list[str], node_interface: str
) -> None:
    found = attached(result, version, "eth0")
    assert found.addresses == tuple(map(ip_interface, addresses))
    assert found.node_interface == node_interface


@pytest.mark.parametrize(
    ("supported", "want"),
    [
        ({"a": ("0.4.0", "1.0.0", "1.1.0")}, ("1.1.0", "")),
        ({"a": ("1.0.0", "1.1.0"), "b": ("0.4.0", "1.0.0")}, ("1.0.0", "")),
        ({"a": ("0.4.0",)}, ("", "a does not speak CNI 1.0.0, only 0.4.0")),
    ],
)
def test_the_newest_version_that_all_speak(
    supported: dict[str, tuple[str, ...]], want: tuple[str, str]
) -> None:
    assert common_version(("1.1.0", "1.0.0"), supported) == want


def test_a_refusal_is_told_in_the_plugins_own_words() -> None:
    failed = PluginFailed("bridge", ADD, {"code": 11, "msg": "try again", "details": "soon"})
    assert str(failed) == 'plugin type="bridge" failed (add): try again; soon'
    assert (failed.code, PluginFailed("bridge", ADD, {"msg": "?"}).code) == (11, None)
