"""Environments, name files, images and host ports of pods, as tables."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from testbed.dns.search import ResolvConf, pod_resolv_conf
from testbed.lab.environment import Surroundings, environment, expanded
from testbed.lab.images import Kind, stand_in
from testbed.lab.pod_files import hostname, pod_hosts, resolv_conf
from testbed.model.containers import Container
from testbed.model.manifest import from_manifest
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.pods import Pod, PodSpec
from testbed.model.objects.services import Service, ServicePort
from testbed.podnet.host_ports import command, mappings
from testbed.runtime.interface import NotYet

WEB = Service(
    ObjectMeta("web-a", "default"), (ServicePort(80, "http"),), cluster_ips=("10.96.0.7",)
)
API = Service(
    ObjectMeta("kubernetes", "default"), (ServicePort(443, "https"),), cluster_ips=("10.96.0.1",)
)
HEADLESS = Service(ObjectMeta("none", "default"), (ServicePort(1),), cluster_ips=("None",))
KEYS = {("ConfigMap", "settings"): {"mode": "quiet"}, ("Secret", "s"): {"password": "x"}}
AROUND = Surroundings(
    ("10.244.0.7", "fd00::7"),
    ("172.18.0.2",),
    (WEB, API, HEADLESS),
    lambda kind, name: KEYS.get((kind, name)),
    {"cpu": "8", "memory": "1024"},
)


def pod(container: dict[str, Any] | None = None, namespace: str = "default", **spec: Any) -> Pod:
    found = from_manifest(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p", "namespace": namespace, "labels": {"app": "x", "a/b": 'q"'}},
            "spec": {
                "nodeName": "n1",
                "containers": [{"name": "c", "image": "busybox", **(container or {})}],
                **spec,
            },
        }
    )
    assert isinstance(found, Pod)
    return found


def env_of(container: dict[str, Any], **spec: Any) -> dict[str, str]:
    found = pod(container, **spec)
    return environment(found, found.spec.containers[0], AROUND)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(A) and $(A)$(B)", "1 and 12"),
        ("$$(A) $$$(A)", "$(A) $1"),
        ("$(UNKNOWN) $A ${A} $(", "$(UNKNOWN) $A ${A} $("),
        ("$(A-B)", "$(A-B)"),
    ],
)
def test_references_are_put_in(text: str, expected: str) -> None:
    assert expanded(text, {"A": "1", "B": "2"}) == expected


def ref(**source: Any) -> dict[str, Any]:
    return {"env": [{"name": "V", "valueFrom": source}]}


@pytest.mark.parametrize(
    ("container", "value"),
    [
        ({"env": [{"name": "A", "value": "1"}, {"name": "V", "value": "$(A)$(LATER)"}]}, "1$(LATER)"),
        ({"env": [{"name": "V", "value": "1"}, {"name": "V", "value": "$(V)2"}]}, "12"),
        ({"env": [{"name": "V"}]}, ""),
        (ref(fieldRef={"fieldPath": "metadata.name"}), "p"),
        (ref(fieldRef={"fieldPath": "metadata.labels['app']"}), "x"),
        (ref(fieldRef={"fieldPath": "metadata.labels"}), 'a/b="q\\""\napp="x"'),
        (ref(fieldRef={"fieldPath": "spec.nodeName"}), "n1"),
        (ref(fieldRef={"fieldPath": "status.podIPs"}), "10.244.0.7,fd00::7"),
        (ref(fieldRef={"fieldPath": "status.hostIP"}), "172.18.0.2"),
        (ref(configMapKeyRef={"name": "settings", "key": "mode"}), "quiet"),
        (ref(secretKeyRef={"name": "s", "key": "password"}), "x"),
        (ref(configMapKeyRef={"name": "no", "key": "k", "optional": True}), None),
        (ref(resourceFieldRef={"resource": "limits.cpu"}), "8"),
        ({"resources": {"limits": {"memory": "64Mi"}},
          **ref(resourceFieldRef={"resource": "limits.memory", "divisor": "1Mi"})}, "64"),
        ({"resources": {"requests": {"cpu": "250m"}},
          **ref(resourceFieldRef={"resource": "requests.cpu", "divisor": "1m"})}, "250"),
        ({"envFrom": [{"prefix": "V", "configMapRef": {"name": "settings"}}],
          "env": [{"name": "V", "value": "$(Vmode)"}]}, "quiet"),
        ({"env": [{"name": "V", "value": "$(WEB_A_SERVICE_HOST)"}]}, "10.96.0.7"),
    ],
)  # fmt: skip
def test_values(container: dict[str, Any], value: str | None) -> None:
    assert env_of(container).get("V") == value


@pytest.mark.parametrize(
    ("container", "lacks"),
    [
        (ref(configMapKeyRef={"name": "no", "key": "k"}), 'configmap "no" not found'),
        (ref(secretKeyRef={"name": "s", "key": "k"}), "couldn't find key k in Secret s"),
        ({"envFrom": [{"secretRef": {"name": "no"}}]}, 'secret "no" not found'),
        (ref(fieldRef={"fieldPath": "spec.other"}), "field label not supported: spec.other"),
    ],
)
def test_what_is_not_there_is_waited_for(container: dict[str, Any], lacks: str) -> None:
    with pytest.raises(NotYet) as caught:
        env_of(container)
    assert caught.value.message == lacks


def test_services_are_linked() -> None:
    links = env_of({})
    assert links["WEB_A_PORT_80_TCP"] == "tcp://10.96.0.7:80"
    assert links["WEB_A_SERVICE_PORT_HTTP"] == "80"
    assert not any(name.startswith("NONE") for name in links)
    without = env_of({}, enableServiceLinks=False)
    assert "WEB_A_SERVICE_HOST" not in without
    assert without["KUBERNETES_SERVICE_HOST"] == "10.96.0.1"
    elsewhere = env_of({}, namespace="other")
    assert "WEB_A_SERVICE_HOST" not in elsewhere
    assert elsewhere["KUBERNETES_PORT_443_TCP_ADDR"] == "10.96.0.1"


CLUSTER = pod_resolv_conf("default", "cluster.local", ("10.96.0.10",))


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({}, "search default.svc.cluster.local svc.cluster.local cluster.local\n"
             "nameserver 10.96.0.10\noptions ndots:5\n"),
        ({"dnsPolicy": "Default"}, "elsewhere\n"),
        ({"hostNetwork": True}, "elsewhere\n"),
        ({"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"},
         "search default.svc.cluster.local svc.cluster.local cluster.local\n"
         "nameserver 10.96.0.10\noptions ndots:5\n"),
        ({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["1.1.1.1"], "searches": ["a.b"],
          "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}]}},
         "search a.b\nnameserver 1.1.1.1\noptions ndots:2 edns0\n"),
        # dnsConfig adds to what the policy says, and nothing twice.
        ({"dnsConfig": {"nameservers": ["1.1.1.1", "10.96.0.10"], "searches": ["a.b", "cluster.local"],
          "options": [{"name": "ndots", "value": "2"}, {"name": "rotate"}]}},
         "search default.svc.cluster.local svc.cluster.local cluster.local a.b\n"
         "nameserver 10.96.0.10\nnameserver 1.1.1.1\noptions ndots:2 rotate\n"),
        # No resolver takes more than three servers, nor a domain longer than a name.
        ({"dnsConfig": {"nameservers": ["1.1.1.1", "1.1.1.2", "1.1.1.3"], "searches": ["a." * 127, "b"]}},
         "search default.svc.cluster.local svc.cluster.local cluster.local b\n"
         "nameserver 10.96.0.10\nnameserver 1.1.1.1\nnameserver 1.1.1.2\noptions ndots:5\n"),
    ],
)  # fmt: skip
def test_resolv_conf(spec: dict[str, Any], text: str) -> None:
    assert resolv_conf(pod(**spec), CLUSTER, "elsewhere\n") == text


NODE = "# the node's\nsearch example.test\nnameserver 192.0.2.53\noptions timeout:1\n"
OWN = {"searches": ["a.b"], "options": [{"name": "timeout", "value": "3"}]}


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"dnsPolicy": "Default"}, NODE),
        ({"dnsPolicy": "Default", "dnsConfig": OWN},
         "search example.test a.b\nnameserver 192.0.2.53\noptions timeout:3\n"),
        ({}, "search default.svc.cluster.local svc.cluster.local cluster.local example.test\n"
             "nameserver 10.96.0.10\noptions ndots:5\n"),
        ({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["1.1.1.1"]}}, "nameserver 1.1.1.1\n"),
    ],
)  # fmt: skip
def test_resolv_conf_where_the_node_has_a_resolver(spec: dict[str, Any], text: str) -> None:
    assert resolv_conf(pod(**spec), CLUSTER, NODE) == text


def test_without_dns_servers_a_pod_uses_its_nodes_resolver() -> None:
    assert resolv_conf(pod(), ResolvConf(()), NODE) == NODE


def test_a_search_list_has_at_most_2048_characters() -> None:
    searches = [f"{number:0>99}.test" for number in range(32)]
    config = {"nameservers": ["1.1.1.1"], "searches": searches}
    text = resolv_conf(pod(dnsPolicy="None", dnsConfig=config), CLUSTER, NODE)
    assert text.splitlines()[0] == f"search {' '.join(searches[:19])}"


@pytest.mark.parametrize(
    ("spec", "name", "line"),
    [
        ({}, "p", "10.0.0.1 p\n"),
        ({"hostname": "h"}, "h", "10.0.0.1 h\n"),
        ({"hostname": "h", "subdomain": "s"}, "h", "10.0.0.1 h.s.default.svc.cluster.local h\n"),
        ({"subdomain": "s", "setHostnameAsFQDN": True}, "p.s.default.svc.cluster.local",
         "10.0.0.1 p.s.default.svc.cluster.local p\n"),
        ({"hostAliases": [{"ip": "1.2.3.4", "hostnames": ["a", "b"]}]}, "p", "1.2.3.4 a b\n"),
    ],
)  # fmt: skip
def test_names(spec: dict[str, Any], name: str, line: str) -> None:
    found = pod(**spec)
    assert hostname(found, "cluster.local") == name
    assert line in pod_hosts(found, ("10.0.0.1",), "cluster.local")


def test_a_kernel_takes_no_name_of_more_than_64_characters() -> None:
    found = pod(hostname="h" * 36, subdomain="s", setHostnameAsFQDN=True)
    assert len(hostname(found, "cluster.local")) == 64
    with pytest.raises(
        NotYet, match=r"too long \(64 characters is the max, 65 characters requested"
    ):
        hostname(pod(hostname="h" * 37, subdomain="s", setHostnameAsFQDN=True), "cluster.local")


AGNHOST = "registry.k8s.io/e2e-test-images/agnhost:2.56"


@pytest.mark.parametrize(
    ("image", "command", "args", "kind", "argv"),
    [
        ("nginx", (), (), Kind.ECHO, ()),
        ("nginx", (), ("--flag",), Kind.ECHO, ()),
        ("nginx", ("nginx",), ("-g",), Kind.PROGRAM, ("nginx", "-g")),
        ("docker.io/library/busybox:1.36", (), ("sleep", "1"), Kind.PROGRAM, ("sleep", "1")),
        ("busybox", (), (), Kind.PROGRAM, ("sh",)),
        ("curlimages/curl@sha256:0", (), ("-s", "x"), Kind.PROGRAM, ("curl", "-s", "x")),
        (AGNHOST, (), ("netexec",), Kind.AGNHOST, ("netexec",)),
        (AGNHOST, (), (), Kind.AGNHOST, ("pause",)),
        (
            AGNHOST,
            ("/agnhost", "netexec"),
            ("--udp-port=1",),
            Kind.AGNHOST,
            ("netexec", "--udp-port=1"),
        ),
        (AGNHOST, ("sh", "-c"), ("x",), Kind.PROGRAM, ("sh", "-c", "x")),
        ("registry.k8s.io/pause:3.10", (), (), Kind.AGNHOST, ("pause",)),
        ("registry.k8s.io/pause", ("/pause",), (), Kind.AGNHOST, ("pause",)),
        ("mapped:1", ("ignored",), (), Kind.MAPPED, ("mine", "a b")),
        ("testbed/dns", (), (), Kind.DNS, ()),
    ],
)
def test_what_runs_in_the_name_of_an_image(
    image: str, command: tuple[str, ...], args: tuple[str, ...], kind: Kind, argv: tuple[str, ...]
) -> None:
    found = stand_in(Container("c", image, command=command, args=args), {"mapped*": "mine 'a b'"})
    assert (found.kind, found.argv) == (kind, argv)


def test_host_ports_are_those_of_the_pods_network() -> None:
    ports = [
        {"containerPort": 80, "hostPort": 8080},
        {"containerPort": 53, "hostPort": 53, "protocol": "UDP", "hostIP": "127.0.0.1"},
        {"containerPort": 99},
    ]
    found = pod({"ports": ports})
    addresses = ip_address("10.244.0.7"), ip_address("fd00::7")
    script = command(mappings(found, addresses), (4, 6)).stdin
    assert 'tcp dport 8080 dnat to 10.244.0.7:80 comment "default/p"' in script
    assert 'tcp dport 8080 dnat to [fd00::7]:80 comment "default/p"' in script
    assert 'ip daddr 127.0.0.1 udp dport 53 dnat to 10.244.0.7:53 comment "default/p"' in script
    assert script.index("127.0.0.1 udp") < script.index("8080")
    assert "99" not in script
    of_node = replace(found, spec=replace(found.spec, host_network=True))
    assert mappings(of_node, addresses) == ()
    assert command((), (4,)).stdin == "add table ip cni_hostport\ndelete table ip cni_hostport\n"


def test_a_pod_without_containers_has_no_ports() -> None:
    assert mappings(Pod(ObjectMeta("p"), PodSpec(())), ()) == ()
