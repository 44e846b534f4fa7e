"""Plug-ins that need little: kubernetes' options, hosts, autopath, errors, log, prometheus, loop, the pages."""

from __future__ import annotations

import pytest

from testbed.dns.wire import NXDOMAIN, Question
from testbed.model.manifest import from_manifest
from testbed.model.objects.endpoint_slices import SERVICE_NAME_LABEL, Endpoint, EndpointSlice
from testbed.model.objects.metadata import Object, ObjectMeta
from testbed.model.objects.services import Service, ServicePort
from tests.unit.dns.surrounded import CLIENT, World, asked, response, said

K8S = "kubernetes cluster.local in-addr.arpa ip6.arpa"


def service(name: str, ip: str, namespace: str = "default", **more: object) -> Service:
    ports = (ServicePort(80),)
    meta = ObjectMeta(name, namespace, labels={"app": name})
    return Service(meta, ports=ports, **{"cluster_ips": (ip,), **more})  # type: ignore[arg-type]


def slice_of(name: str, ip: str) -> EndpointSlice:
    meta = ObjectMeta(f"{name}-1", "default", labels={SERVICE_NAME_LABEL: name, "app": name})
    return EndpointSlice(meta, (Endpoint((ip,)),))


def pod(name: str, ip: str, namespace: str = "default") -> Object:
    return from_manifest(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
            "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]},
        }
    )


CLUSTER: tuple[Object, ...] = (
    service("web", "10.96.1.1"),
    service("shop", "10.96.1.2", "shop"),
    service("away", "", cluster_ips=(), type="ExternalName", external_name="www.test"),
    service("pets", "None"),
    slice_of("pets", "10.244.1.9"),
    pod("client", CLIENT),
    pod("dog", "10.244.1.9"),
)
LINE = '[INFO] {}:4711 - 17 "A IN {}. udp 47 false 512" NOERROR qr,aa,rd 63 0.000000000s'
WEB, SHOP = "web.default.svc.cluster.local", "shop.shop.svc.cluster.local"


@pytest.mark.parametrize(
    ("option", "name", "answer"),
    [
        ("", WEB, ["NOERROR", f"{WEB} 5 A 10.96.1.1"]),
        ("ttl 30", WEB, ["NOERROR", f"{WEB} 30 A 10.96.1.1"]),
        ("namespaces shop", WEB, ["NXDOMAIN"]),
        ("namespaces shop", SHOP, ["NOERROR", f"{SHOP} 5 A 10.96.1.2"]),
        ("labels app=shop", WEB, ["NXDOMAIN"]),
        ("labels app in (shop, pets)", SHOP, ["NOERROR", f"{SHOP} 5 A 10.96.1.2"]),
        ("labels !app", SHOP, ["NXDOMAIN"]),
        ("noendpoints", "pets.default.svc.cluster.local", ["NXDOMAIN"]),
        ("ignore empty_service", WEB, ["NXDOMAIN"]),
        ("pods disabled", "10-0-0-1.default.pod.cluster.local", ["NXDOMAIN"]),
        ("pods insecure", "10-0-0-1.default.pod.cluster.local",
         ["NOERROR", "10-0-0-1.default.pod.cluster.local 5 A 10.0.0.1"]),
        ("pods verified", "10-0-0-1.default.pod.cluster.local", ["NXDOMAIN"]),
        ("pods verified", "10-244-1-9.default.pod.cluster.local",
         ["NOERROR", "10-244-1-9.default.pod.cluster.local 5 A 10.244.1.9"]),
        ("", "1.1.96.10.in-addr.arpa", ["NOERROR", f"1.1.96.10.in-addr.arpa 5 PTR {WEB}."]),
        ("", "9.9.9.9.in-addr.arpa", ["NXDOMAIN"]),
        ("fallthrough in-addr.arpa", "9.9.9.9.in-addr.arpa", ["NOERROR"]),
        ("fallthrough in-addr.arpa", "none.default.svc.cluster.local", ["NXDOMAIN"]),
        ("fallthrough", "none.default.svc.cluster.local", ["NOERROR"]),
        ("", "away.default.svc.cluster.local",
         ["NOERROR", "away.default.svc.cluster.local 5 CNAME www.test.", "www.test 60 A 192.0.2.7"]),
    ],
)  # fmt: skip
def test_kubernetes(option: str, name: str, answer: list[str]) -> None:
    def upstream(errand: object, question: Question):  # type: ignore[no-untyped-def]
        return response(question, *(["192.0.2.7"] if question.name == "www.test" else []))

    world = World(CLUSTER, upstream=upstream)
    chain = world.chain(f"{K8S} {{\n{option}\n}}", "forward . 192.0.2.1")
    replies = asked(chain, name, "PTR" if name.endswith("arpa") else "A")
    world.pass_s(0)
    assert said(replies) == answer


def test_what_is_not_synced_fails_and_is_not_ready() -> None:
    world = World(CLUSTER, synced=False)
    chain = world.chain("errors", "ready", K8S)
    page = world.pages[("", 8181), "/ready"]
    assert said(asked(chain, WEB)) == ["SERVFAIL"]
    assert world.log == [
        f"[ERROR] plugin/errors: 2 {WEB}. A: plugin/kubernetes: not synced with the API yet"
    ]
    assert (page().status, page().body) == (503, b"kubernetes")
    world.names[0].synced = True
    assert (page().status, page().body) == (200, b"OK")
    world.names[0].synced = False
    assert page().status == 200  # asked until it was ready once
    chain.life.ending = True
    assert page().status == 503


def test_ready_may_ask_for_ever() -> None:
    world = World(CLUSTER)
    world.chain("ready 127.0.0.1:1234 {\n monitor continuously\n}", K8S)
    page = world.pages[("127.0.0.1", 1234), "/ready"]
    assert page().status == 200
    world.names[0].synced = False
    assert page().status == 503


def test_health_says_ok_and_how_lame_a_duck_is() -> None:
    world = World()
    chain = world.chain("health :8081 {\n lameduck 5s\n}")
    assert world.pages[("", 8081), "/health"]().body == b"OK"
    assert chain.life.lameduck_s == 5


# autopath


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        (WEB, ["NOERROR", f"{WEB} 5 A 10.96.1.1"]),
        ("web.default.default.svc.cluster.local",
         ["NOERROR", f"web.default.default.svc.cluster.local 5 CNAME {WEB}.", f"{WEB} 5 A 10.96.1.1"]),
        ("www.test.default.svc.cluster.local",
         ["NOERROR", "www.test.default.svc.cluster.local 60 CNAME www.test.", "www.test 60 A 192.0.2.7"]),
        ("none.default.svc.cluster.local", ["NXDOMAIN"]),
        ("none.svc.cluster.local", ["NXDOMAIN"]),
    ],
)  # fmt: skip
def test_autopath_walks_the_search_list_of_the_pod_that_asks(name: str, answer: list[str]) -> None:
    def upstream(errand: object, question: Question):  # type: ignore[no-untyped-def]
        known = question.name in ("www.test", "")
        return response(question, "192.0.2.7") if known else response(question, rcode=NXDOMAIN)

    world = World(CLUSTER, {"/etc/resolv.conf": ""}, upstream=upstream)
    chain = world.chain(
        "autopath @kubernetes", f"{K8S} {{\n pods verified\n}}", "forward . 192.0.2.1"
    )
    replies = asked(chain, name)
    world.pass_s(0)
    assert said(replies) == answer
    assert replies[0].depends is None or "." not in name.removesuffix(".svc.cluster.local")


def test_autopath_denies_as_the_first_domain_did_where_nobody_is_asked_for_the_bare_name() -> None:
    world = World(CLUSTER, {"/etc/resolv.conf": ""})
    chain = world.chain("autopath @kubernetes", f"{K8S} {{\n pods verified\n}}")
    assert said(asked(chain, "none.default.svc.cluster.local")) == ["NXDOMAIN"]


def test_autopath_does_not_deny_what_nobody_knows() -> None:
    world = World(CLUSTER, {"/etc/resolv.conf": ""})
    chain = world.chain(
        "autopath @kubernetes", f"{K8S} {{\n pods verified\n}}", "forward . 192.0.2.1"
    )
    replies = asked(chain, "none.default.svc.cluster.local")
    world.pass_s(10)
    assert said(replies) == ["SERVFAIL"]


def test_autopath_knows_no_other_clients() -> None:
    world = World(CLUSTER, {"/etc/resolv.conf": ""})
    chain = world.chain("autopath @kubernetes", f"{K8S} {{\n pods verified\n}}")
    name = "web.default.default.svc.cluster.local"
    assert said(asked(chain, name, client="10.0.0.9")) == ["NXDOMAIN"]
    assert said(asked(chain, name, "SRV")) == ["NXDOMAIN"]


def test_autopath_by_a_file_and_without_kubernetes() -> None:
    world = World(files={"/r": "search a.test b.test\n", "/etc/hosts": "10.0.0.1 www.b.test"})
    chain = world.chain("autopath /r", "hosts {\n fallthrough\n}")
    assert said(asked(chain, "www.a.test"))[1:] == [
        "www.a.test 3600 CNAME www.b.test.",
        "www.b.test 3600 A 10.0.0.1",
    ]
    with pytest.raises(ValueError, match="kubernetes is not in this server block"):
        World(files={"/etc/resolv.conf": ""}).chain("autopath @kubernetes")


# hosts


def test_hosts_has_both_ways_and_the_corefiles_own_lines() -> None:
    world = World(files={"/etc/hosts": "10.0.0.1 a.test b.test # two\nfd00::1 a.test\nnothing\n"})
    chain = world.chain("hosts {\n 10.0.0.2 a.test\n ttl 60\n fallthrough example\n}")
    assert said(asked(chain, "A.test")) == [
        "NOERROR", "A.test 60 A 10.0.0.1", "A.test 60 A 10.0.0.2",
    ]  # fmt: skip
    assert said(asked(chain, "a.test", "AAAA")) == ["NOERROR", "a.test 60 AAAA fd00::1"]
    assert said(asked(chain, "b.test", "AAAA")) == ["NOERROR"]
    assert said(asked(chain, "1.0.0.10.in-addr.arpa", "PTR")) == [
        "NOERROR",
        "1.0.0.10.in-addr.arpa 60 PTR a.test.",
        "1.0.0.10.in-addr.arpa 60 PTR b.test.",
    ]
    assert said(asked(chain, "c.test")) == ["SERVFAIL"]
    assert said(asked(chain, "c.example")) == ["REFUSED"]


def test_hosts_reads_its_file_again() -> None:
    world = World(files={"/etc/hosts": "10.0.0.1 a.test"})
    chain = world.chain("hosts {\n reload 2s\n no_reverse\n}")
    world.files["/etc/hosts"] = "10.0.0.9 a.test"
    assert said(asked(chain, "a.test"))[1].endswith("10.0.0.1")
    world.pass_s(2)
    assert said(asked(chain, "a.test"))[1].endswith("10.0.0.9")
    assert said(asked(chain, "9.0.0.10.in-addr.arpa", "PTR")) == ["REFUSED"]
    world.files["/etc/hosts"] = "10.0.0.9 \xe4.test"  # Latin 1: no text
    world.pass_s(2)
    assert said(asked(chain, "a.test")) == ["SERVFAIL"]
    world.files["/etc/hosts"] = "10.0.0.1 a.test"
    world.pass_s(2)
    assert said(asked(chain, "a.test"))[1].endswith("10.0.0.1")


# errors, log, prometheus, loop


def test_errors_are_summed_up() -> None:
    world = World()
    chain = world.chain("errors {\n consolidate 5m timeout warning\n}", "forward . 192.0.2.1")
    for name in ("a.test", "b.test"):
        asked(chain, name)
    world.pass_s(10)
    assert world.log == []
    world.pass_s(300)
    assert world.log == ["[WARNING] plugin/errors: 2 errors like 'timeout' occurred in last 300s"]


def test_the_first_error_may_be_told_at_once() -> None:
    world = World()
    chain = world.chain(
        "errors {\n consolidate 5m timeout info show_first\n}", "forward . 192.0.2.1"
    )
    asked(chain, "a.test")
    world.pass_s(310)
    first = "[INFO] plugin/errors: 2 a.test. A: udp 192.0.2.1:53: i/o timeout"
    assert world.log == [first]  # and no sum of one
    asked(chain, "a.test")
    asked(chain, "b.test")
    world.pass_s(310)
    assert world.log[1:] == [
        first,
        "[INFO] plugin/errors: 2 errors like 'timeout' occurred in last 300s",
    ]


def test_sums_of_errors_end_with_their_chain() -> None:
    world = World()
    rules = "errors {\n consolidate 10s timeout\n consolidate 1s proxies\n}"
    chain = world.chain(rules, "forward . 192.0.2.1")
    asked(chain, "a.test")
    world.pass_s(6)
    chain.close()
    world.pass_s(20)
    assert world.log == []


@pytest.mark.parametrize(
    ("arguments", "name", "lines"),
    [
        ("", WEB, [LINE.format(CLIENT, WEB)]),
        (". {combined}", WEB, [LINE.format(CLIENT, WEB) + ' "0"']),
        ('. "{name} {rcode} {nonsense}"', WEB, [f"[INFO] {WEB}. NOERROR -"]),
        ("example.org", WEB, []),
        (" {\n class denial error\n}", WEB, []),
        (' . "{name} {rcode}" {\n class denial\n}', "x.cluster.local", ["[INFO] x.cluster.local. NXDOMAIN"]),
        (' . "{name} {rcode}" {\n class error\n}', "x.test", ["[INFO] x.test. REFUSED"]),
    ],
)  # fmt: skip
def test_log(arguments: str, name: str, lines: list[str]) -> None:
    world = World(CLUSTER)
    (reply,) = asked(world.chain(f"log {arguments}", K8S), name, port=4711, ident=17, size=47)
    assert world.log == lines
    assert reply.depends is None or not lines


def test_prometheus_counts_what_is_answered_and_what_is_answered_again() -> None:
    world = World(CLUSTER)
    chain = world.chain("prometheus :9153", K8S)
    (reply,) = asked(chain, WEB, size=47)
    asked(chain, "none.cluster.local", "TYPE65", tcp=True, client="fd00::1")
    assert reply.counted is not None
    reply.counted(9)
    where = ("dns://:53", ".", "")
    metrics = world.metrics
    assert metrics.value("coredns_dns_requests_total", (*where, "udp", "1", "A")) == 10
    assert metrics.value("coredns_dns_requests_total", (*where, "tcp", "2", "other")) == 1
    assert metrics.value("coredns_dns_responses_total", (*where, "NXDOMAIN")) == 1
    assert metrics.value("coredns_dns_request_duration_seconds", where) == 11
    page = world.pages[("", 9153), "/metrics"]().body.decode()
    assert (
        'coredns_dns_request_size_bytes_sum{proto="udp",server="dns://:53",view="",zone="."} 470.0'
        in page
    )
    assert (
        'coredns_plugin_enabled{name="kubernetes",server="dns://:53",view="",zone="."} 1.0' in page
    )


def test_a_loop_ends_the_server() -> None:
    """What is forwarded comes back to the server that forwards it."""
    world = World()
    chain = world.chain("loop", "forward . 127.0.0.1")

    def upstream(errand: object, question: Question) -> None:
        if question.name and not world.gave_up:
            asked(chain, question.name, "TYPE13")

    world.upstream = upstream  # type: ignore[assignment]
    world.pass_s(1)
    assert world.gave_up == [f'plugin/loop: Loop ({CLIENT} -> dns://:53) detected for zone "."']


def test_without_a_loop_nothing_happens() -> None:
    world = World(upstream=lambda errand, question: response(question))
    world.chain("loop", "forward . 192.0.2.1")
    world.pass_s(10)
    assert world.gave_up == []
    assert len(world.errands) == 1
