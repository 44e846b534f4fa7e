"""Configurations of other DNS programs: a zone -> files, a change -> what the running program is told."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from testbed.dns.external import Place, Program
from testbed.dns.external_command import OwnCommand
from testbed.dns.external_coredns import CoreDNS
from testbed.dns.external_dnsmasq import Dnsmasq
from testbed.dns.external_unbound import Unbound
from testbed.dns.zone_listing import Records, ZoneListing
from testbed.dns.zone_options import ZoneOptions
from testbed.kernel.search_path import tool_path
from testbed.model.corefile_text import kubeadm_corefile
from testbed.model.dns import DNS
from testbed.model.objects.endpoint_slices import Endpoint, EndpointPort, EndpointSlice
from testbed.model.objects.metadata import Object, ObjectMeta
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import Pod, PodSpec, PodStatus
from testbed.model.objects.services import Service, ServicePort

ALONE = Place(("10.244.0.5", "fd00::5"), "cluster.local", (), "/lab/dns/1")
JOINED = Place(("10.244.0.5",), "cluster.local", ("172.18.0.1",), "/lab/dns/1")
DOMAIN = "default.svc.cluster.local"


def service(name: str, ip: str) -> Service:
    ports = (ServicePort(80, "http", "TCP", 8080),)
    return Service(ObjectMeta(name, "default"), ports, cluster_ips=(ip,))


def peers(*ips: str) -> EndpointSlice:
    meta = ObjectMeta("peers-1", "default", labels={"kubernetes.io/service-name": "peers"})
    endpoints = tuple(Endpoint((ip,)) for ip in ips)
    return EndpointSlice(meta, endpoints, (EndpointPort(8080, "http"),))


def alias(target: str) -> Service:
    return Service(ObjectMeta("alias", "default"), type="ExternalName", external_name=target)


CLUSTER: tuple[Object, ...] = (
    service("web", "10.96.0.11"),
    service("peers", "None"),
    peers("10.244.1.2", "10.244.1.3"),
    alias(f"web.{DOMAIN}"),
    Pod(
        ObjectMeta("web-0", "default"),
        PodSpec((), node_name="n1"),
        PodStatus("Running", ("10.244.1.9",)),
    ),
)


def listing() -> ZoneListing:
    found = ZoneListing(ZoneOptions(pods="verified"))
    found.follow([("ADDED", item) for item in CLUSTER], 7)
    return found


def told(program: Program, *changes: tuple[str, Object]) -> list[str]:
    """What a change makes of the program: files, commands with what they are given, signals."""
    zone = listing()
    before: Records = zone.follow(changes, 8)
    step = program.update(before, zone.records)
    return [
        *sorted(step.files),
        *(f"{one.argv[-1]}: {one.stdin.strip()}".strip(": ") for one in step.commands),
        *(["SIGHUP"] if step.hang_up else []),
        *(["restart"] if step.restart else []),
    ]


PROGRAMS: dict[str, Program] = {
    "unbound": Unbound(ALONE),
    "dnsmasq": Dnsmasq(ALONE),
    "command": OwnCommand(ALONE, ("named",), ""),
    "coredns": CoreDNS(
        ALONE, "/lab/inside.conf", kubeadm_corefile("cluster.local", has_upstream=False)
    ),
}
NEW_SRV = f"_http._tcp.new.{DOMAIN}. 5 IN SRV 0 100 80 new.{DOMAIN}."
TOLD = {
    ("unbound", "a service more"): [
        "local_datas: 12.0.96.10.in-addr.arpa. 5 IN PTR new.default.svc.cluster.local.\n"
        f"{NEW_SRV}\nnew.{DOMAIN}. 5 IN A 10.96.0.12\nnew.{DOMAIN}. 5 IN SRV 0 100 80 new.{DOMAIN}."
    ],
    ("unbound", "a service less"): [
        f"local_datas_remove: 11.0.96.10.in-addr.arpa.\n_http._tcp.web.{DOMAIN}.\nweb.{DOMAIN}."
    ],
    ("unbound", "a name loses an address"): ["zone.conf", "reload"],
    ("unbound", "another alias"): ["zone.conf", "reload"],
    ("dnsmasq", "a service more"): ["hosts", "records.conf", "restart"],
    ("dnsmasq", "a pod less"): ["hosts", "SIGHUP"],
    ("command", "a service more"): ["hosts", "zone", "SIGHUP"],
    ("coredns", "a service more"): [],
}
CHANGES: dict[str, tuple[str, Object]] = {
    "a service more": ("ADDED", service("new", "10.96.0.12")),
    "a service less": ("DELETED", CLUSTER[0]),
    "a name loses an address": ("MODIFIED", peers("10.244.1.3")),
    "another alias": ("MODIFIED", alias("elsewhere.test")),
    "a pod less": ("DELETED", CLUSTER[4]),
}


@pytest.mark.parametrize(("program", "change"), TOLD)
def test_what_a_running_program_is_told(program: str, change: str) -> None:
    assert told(PROGRAMS[program], CHANGES[change]) == TOLD[program, change]


def test_unbound_follows_aliases_as_far_as_somebody_can_say_where_they_lead() -> None:
    inside, outside = f"web.{DOMAIN}", "www.example.test"
    rows = [(ALONE, inside, True), (ALONE, outside, False), (JOINED, outside, True)]
    for place, target, followed in rows:
        zone = ZoneListing(ZoneOptions())
        zone.follow([("ADDED", alias(target))], 1)
        text = Unbound(place).files(zone.records)["zone.conf"]
        assert (f'local-zone: "alias.{DOMAIN}." redirect' in text) is followed, (place, target)


def test_unbound_refuses_names_that_nobody_could_tell_it() -> None:
    alone, joined = (Unbound(place).files({})["unbound.conf"] for place in (ALONE, JOINED))
    assert 'local-zone: "." refuse' in alone
    assert 'name: "."\n  forward-addr: 172.18.0.1\n' in joined


@pytest.mark.parametrize("place", [ALONE, JOINED], ids=["alone", "joined"])
def test_unbound_takes_its_configuration(tmp_path: Path, place: Place) -> None:
    here = Place(place.listen, place.domain, place.upstream, str(tmp_path))
    for name, text in Unbound(here).files(listing().records).items():
        (tmp_path / name).write_text(text)
    checker = shutil.which("unbound-checkconf", path=tool_path())
    assert checker is not None
    done = subprocess.run([checker, tmp_path / "unbound.conf"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("place", [ALONE, JOINED], ids=["alone", "joined"])
def test_dnsmasq_takes_its_configuration(tmp_path: Path, place: Place) -> None:
    here = Place(place.listen, place.domain, place.upstream, str(tmp_path))
    for name, text in Dnsmasq(here).files(listing().records).items():
        (tmp_path / name).write_text(text)
    program = shutil.which("dnsmasq", path=tool_path())
    assert program is not None
    argv = [program, "--test", *Dnsmasq(here).argv[1:]]
    done = subprocess.run(argv, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_address_points_back_to_the_name_of_its_ptr_record() -> None:
    hosts = Dnsmasq(ALONE).files(listing().records)["hosts"].splitlines()
    assert f"10.244.1.2 10-244-1-2.peers.{DOMAIN} peers.{DOMAIN}" in hosts
    assert "10.244.1.9 10-244-1-9.default.pod.cluster.local" in hosts


def test_dnsmasq_says_when_it_has_read_its_hosts() -> None:
    program = Dnsmasq(ALONE)
    assert program.has_read("dnsmasq[7]: read /lab/dns/1/hosts - 5 names")
    assert not program.has_read("dnsmasq[7]: started, version 2.90 cachesize 10000")


def test_coredns_has_the_clusters_corefile_and_a_way_to_its_api() -> None:
    text = kubeadm_corefile("cluster.local", has_upstream=True)
    files = CoreDNS(JOINED, "/lab/inside.conf", text).files({})
    assert files["resolv.conf"] == "nameserver 172.18.0.1\n"
    assert "forward . /lab/dns/1/resolv.conf" in files["Corefile"]
    assert (
        "kubernetes cluster.local in-addr.arpa ip6.arpa {\n        kubeconfig /lab/inside.conf\n"
        in (files["Corefile"].replace("            kubeconfig", "        kubeconfig"))
    )
    short = CoreDNS(ALONE, "/k", ". {\n    kubernetes cluster.local\n}\n").files({})["Corefile"]
    assert short == ". {\n    kubernetes cluster.local {\n        kubeconfig /k\n    }\n}\n"


def test_a_command_has_its_blanks_filled_in() -> None:
    words = (
        "d",
        "{address}",
        "{domain}",
        "{upstream}",
        "-z={zone}",
        "{hosts}",
        "{kubeconfig}",
        "{{x}}",
    )
    folder = JOINED.folder
    assert OwnCommand(JOINED, words, "/k").argv == (
        *("d", "10.244.0.5", "cluster.local", "172.18.0.1"),
        *(f"-z={folder}/zone", f"{folder}/hosts", "/k", "{x}"),
    )


def test_the_listing_does_not_depend_on_the_way_that_led_to_it() -> None:
    zone = ZoneListing(ZoneOptions(pods="verified"))
    for at, item in enumerate(CLUSTER[::-1]):
        zone.follow([("ADDED", item)], at)
    zone.follow([("ADDED", service("gone", "10.96.0.99")), ("MODIFIED", peers("10.9.9.9"))], 5)
    zone.follow([("DELETED", service("gone", "10.96.0.99")), ("MODIFIED", CLUSTER[2])], 7)
    assert zone.records == listing().records


def test_without_its_namespace_a_pod_has_no_name() -> None:
    name, pod = "10-244-1-9.default.pod.cluster.local", CLUSTER[4]
    zone = ZoneListing(ZoneOptions(pods="verified"))
    zone.follow([("ADDED", pod)], 1)
    assert name not in zone.records
    assert zone.follow([("ADDED", CLUSTER[0])], 2)[name] == ()
    assert zone.follow([("DELETED", CLUSTER[0])], 3)[name] != ()
    assert name not in zone.records


def test_what_has_no_name_tells_nothing() -> None:
    zone = listing()
    assert zone.follow([("MODIFIED", CLUSTER[0]), ("ADDED", Node(ObjectMeta("n1")))], 9) == {}
    assert " 7 7200 " in zone.records["cluster.local"][0].data
    assert zone.follow([("ADDED", service("new", "10.96.0.12"))], 10)
    assert " 10 7200 " in zone.records["cluster.local"][0].data


def test_the_listing_tells_what_names_had_before() -> None:
    before = listing().follow([("DELETED", CLUSTER[0])], 8)
    assert [one.data for one in before[f"web.{DOMAIN}"]] == [
        "10.96.0.11",
        f"0 100 80 web.{DOMAIN}.",
    ]
    assert f"peers.{DOMAIN}" not in before


@pytest.mark.parametrize(
    ("written", "program"),
    [
        (None, ""),
        ("testbed", ""),
        ("unbound", "unbound"),
        ({"external": "dnsmasq"}, "dnsmasq"),
        ({"external": ["unbound"]}, "unbound"),
        ({"external": ["dnsmasq", "--keep-in-foreground"]}, "command"),
        ("named -f -c {folder}/named.conf", "command"),
    ],
)
def test_which_program_is_meant(written: object, program: str) -> None:
    assert DNS.model_validate({"server": written}).server.program == program
