"""Questions and the records that answer them, as zone files write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.dns.answer import Answer, answer, rotated
from testbed.dns.names import NameTable
from testbed.dns.wire import Question, Record, rcode_text, type_number, type_text
from testbed.model.objects import (
    SERVICE_NAME_LABEL,
    Endpoint,
    EndpointSlice,
    Object,
    ObjectMeta,
    Service,
)

ZONE = "cluster.local"
SOA = f"{ZONE} 5 SOA ns.dns.{ZONE}. hostmaster.{ZONE}. 7 7200 1800 86400 5"


def service(name: str, namespace: str = "default", **fields: object) -> Service:
    return Service(ObjectMeta(name, namespace), **fields)  # type: ignore[arg-type]


def slice_of(name: str, *endpoints: Endpoint, suffix: str = "1") -> EndpointSlice:
    meta = ObjectMeta(f"{name}-{suffix}", "default", labels={SERVICE_NAME_LABEL: name})
    return EndpointSlice(meta, endpoints)


OBJECTS: tuple[Object, ...] = (
    service("kube-dns", "kube-system", cluster_ips=("10.96.0.10",)),
    service("web", cluster_ips=("10.96.1.1",)),
    service("pending"),
    service("six", cluster_ips=("fd00::6",)),
    service("both", cluster_ips=("fd00::7", "10.96.1.7")),
    service("pets", cluster_ips=("None",)),
    service("empty", cluster_ips=("None",)),
    service("early", cluster_ips=("None",), publish_not_ready_addresses=True),
    service("out", type="ExternalName", external_name="www.example.com"),
    service("alias", type="ExternalName", external_name=f"WEB.default.svc.{ZONE}."),
    service("dangling", type="ExternalName", external_name=f"gone.default.svc.{ZONE}"),
    service("circle", type="ExternalName", external_name=f"circle.default.svc.{ZONE}"),
    slice_of("web", Endpoint(("10.244.0.1",))),
    slice_of(
        "pets",
        Endpoint(("10.244.0.2",), hostname="rex"),
        Endpoint(("10.244.0.3",), ready=False, hostname="ill"),
        Endpoint(("10.244.0.4",)),
    ),
    slice_of("pets", Endpoint(("10.244.1.5",)), Endpoint(("10.244.0.4",)), suffix="2"),
    slice_of("empty", Endpoint(("10.244.0.6",), ready=False)),
    slice_of("early", Endpoint(("10.244.0.7",), ready=False)),
    slice_of("early", Endpoint(("fd00::e",), ready=False), suffix="2"),
)


def table(objects: tuple[Object, ...] = OBJECTS) -> NameTable:
    names = NameTable(ZONE)
    for item in objects:
        names.put(item)
    names.resource_version = 7
    return names


def shown(found: Answer) -> list[str]:
    lines = [f"{r.name} {r.ttl} {type_text(r.type)} {r.data}" for r in found.answers]
    lines += [f"; {r.name} {r.ttl} {type_text(r.type)} {r.data}" for r in found.authority]
    return [rcode_text(found.rcode), *lines]


BOTH = f"both.default.svc.{ZONE}"
WEB, OUT, ALIAS = f"web.default.svc.{ZONE}", f"out.default.svc.{ZONE}", f"alias.default.svc.{ZONE}"
PETS, EARLY = f"pets.default.svc.{ZONE}", f"early.default.svc.{ZONE}"
NODATA, NXDOMAIN, REFUSED = ["NOERROR", f"; {SOA}"], ["NXDOMAIN", f"; {SOA}"], ["REFUSED"]

ROWS = {
    "a service has its cluster address": (WEB, "A", ["NOERROR", f"{WEB} 5 A 10.96.1.1"]),
    "an IPv4 service has no IPv6 address": (WEB, "AAAA", NODATA),
    "an IPv6 service has one": (
        f"six.default.svc.{ZONE}",
        "AAAA",
        ["NOERROR", f"six.default.svc.{ZONE} 5 AAAA fd00::6"],
    ),
    "a dual-stack service has one of each: IPv4": (BOTH, "A", ["NOERROR", f"{BOTH} 5 A 10.96.1.7"]),
    "and IPv6": (BOTH, "AAAA", ["NOERROR", f"{BOTH} 5 AAAA fd00::7"]),
    "a headless service has its pods' addresses of both families": (
        EARLY,
        "AAAA",
        ["NOERROR", f"{EARLY} 5 AAAA fd00::e"],
    ),
    "case is kept and does not matter": (
        f"Web.Default.SVC.{ZONE.upper()}",
        "A",
        ["NOERROR", f"Web.Default.SVC.{ZONE.upper()} 5 A 10.96.1.1"],
    ),
    "kube-dns itself has a name": (
        f"kube-dns.kube-system.svc.{ZONE}",
        "A",
        ["NOERROR", f"kube-dns.kube-system.svc.{ZONE} 5 A 10.96.0.10"],
    ),
    "a service without an address yet exists": (f"pending.default.svc.{ZONE}", "A", NODATA),
    "a type nobody has is no data": (WEB, "TYPE65", NODATA),
    "an unknown service does not exist": (f"nope.default.svc.{ZONE}", "A", NXDOMAIN),
    "nor does its name in another namespace": (f"web.kube-system.svc.{ZONE}", "A", NXDOMAIN),
    "nor a namespace without services": (f"void.svc.{ZONE}", "A", NXDOMAIN),
    "nor anything else in the zone": (f"example.{ZONE}", "A", NXDOMAIN),
    "a namespace with services has no records": (f"default.svc.{ZONE}", "A", NODATA),
    "svc has none either": (f"svc.{ZONE}", "A", NODATA),
    "the search list's first miss": (f"{WEB}.default.svc.{ZONE}", "A", NXDOMAIN),
    "names outside the zone are refused": ("www.example.com", "A", REFUSED),
    "a name that only ends like the zone is outside": (f"not{ZONE}", "A", REFUSED),
    "the root is outside": ("", "NS", REFUSED),
    "the zone has a SOA": (ZONE, "SOA", ["NOERROR", SOA]),
    "the zone has a name server": (ZONE, "NS", ["NOERROR", f"{ZONE} 5 NS ns.dns.{ZONE}."]),
    "which has kube-dns's address": (
        f"ns.dns.{ZONE}",
        "A",
        ["NOERROR", f"ns.dns.{ZONE} 5 A 10.96.0.10"],
    ),
    "under a label without records": (f"dns.{ZONE}", "A", NODATA),
    "the zone has no address": (ZONE, "A", NODATA),
    "a headless service has its ready endpoints, each once": (
        PETS,
        "A",
        ["NOERROR", *[f"{PETS} 5 A {ip}" for ip in ("10.244.0.2", "10.244.0.4", "10.244.1.5")]],
    ),
    "a headless service without ready endpoints does not exist": (
        f"empty.default.svc.{ZONE}",
        "A",
        NXDOMAIN,
    ),
    "a service may publish endpoints that are not ready": (
        EARLY,
        "A",
        ["NOERROR", f"{EARLY} 5 A 10.244.0.7"],
    ),
    "an endpoint has its hostname under the service": (
        f"REX.{PETS}",
        "A",
        ["NOERROR", f"REX.{PETS} 5 A 10.244.0.2"],
    ),
    "or its address with dashes": (
        f"10-244-0-4.{PETS}",
        "A",
        ["NOERROR", f"10-244-0-4.{PETS} 5 A 10.244.0.4"],
    ),
    "a hostname replaces the dashes": (f"10-244-0-2.{PETS}", "A", NXDOMAIN),
    "an endpoint that is not ready has no name": (f"ill.{PETS}", "A", NXDOMAIN),
    "endpoints of a service with an address have names too": (
        f"10-244-0-1.{WEB}",
        "A",
        ["NOERROR", f"10-244-0-1.{WEB} 5 A 10.244.0.1"],
    ),
    "an endpoint of no service": (f"rex.nope.default.svc.{ZONE}", "A", NXDOMAIN),
    "nothing lies below an endpoint": (f"x.rex.{PETS}", "A", NXDOMAIN),
    "an external name outside is a CNAME alone": (
        OUT,
        "A",
        ["NOERROR", f"{OUT} 5 CNAME www.example.com."],
    ),
    "an external name inside is followed": (
        ALIAS,
        "A",
        [
            "NOERROR",
            f"{ALIAS} 5 CNAME WEB.default.svc.{ZONE}.",
            f"WEB.default.svc.{ZONE} 5 A 10.96.1.1",
        ],
    ),
    "to the absence of a type": (
        ALIAS,
        "AAAA",
        ["NOERROR", f"{ALIAS} 5 CNAME WEB.default.svc.{ZONE}.", f"; {SOA}"],
    ),
    "and to names that do not exist": (
        f"dangling.default.svc.{ZONE}",
        "A",
        [
            "NXDOMAIN",
            f"dangling.default.svc.{ZONE} 5 CNAME gone.default.svc.{ZONE}.",
            f"; {SOA}",
        ],
    ),
    "who asks for the CNAME gets it": (
        ALIAS,
        "CNAME",
        ["NOERROR", f"{ALIAS} 5 CNAME WEB.default.svc.{ZONE}."],
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_answers(row: str) -> None:
    name, qtype, expected = ROWS[row]
    assert shown(answer(Question(name, type_number(qtype)), table())) == expected


def test_external_names_in_a_circle_end() -> None:
    found = answer(Question(f"circle.default.svc.{ZONE}", 1), table())
    assert shown(found)[0] == "NOERROR"
    assert len(found.answers) == 8


def test_other_classes_are_refused() -> None:
    assert shown(answer(Question(WEB, 1, class_=3), table())) == REFUSED


def test_a_zone_of_another_name() -> None:
    names = NameTable("Lab.Example.")
    names.put(service("web", cluster_ips=("10.96.1.1",)))
    assert answer(Question("web.default.svc.lab.example", 1), names).answers
    assert shown(answer(Question(WEB, 1), names)) == REFUSED


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(OBJECTS)), max_size=40))
def test_the_table_depends_on_the_state_not_on_the_path(
    steps: list[tuple[bool, Object]],
) -> None:
    names = NameTable(ZONE)
    left: dict[tuple[str, str, str], Object] = {}
    for add, item in steps:
        key = (item.kind, item.meta.namespace, item.meta.name)
        names.change("ADDED" if add else "DELETED", item)
        left.pop(key, None)
        if add:
            left[key] = item
    names.resource_version = 7
    fresh = table(tuple(left.values()))
    for name, qtype, _ in ROWS.values():
        question = Question(name, type_number(qtype))
        assert answer(question, names) == answer(question, fresh)


def test_a_slice_that_names_another_service_moves() -> None:
    names = table()
    names.change("MODIFIED", slice_of("pets", suffix="2"))
    moved = EndpointSlice(
        ObjectMeta("pets-1", "default", labels={SERVICE_NAME_LABEL: "empty"}),
        (Endpoint(("10.244.9.9",)),),
    )
    names.change("MODIFIED", moved)
    assert shown(answer(Question(PETS, 1), names)) == NXDOMAIN
    assert [r.data for r in answer(Question(f"empty.default.svc.{ZONE}", 1), names).answers] == [
        "10.244.9.9"
    ]


@given(st.integers(0, 5), st.integers(0, 1000))
def test_rotation_keeps_every_record_and_spreads_the_first(count: int, by: int) -> None:
    alias = Record("a", 5, 5, "b.")
    addresses = tuple(Record("b", 1, 5, f"10.0.0.{n}") for n in range(count))
    turned = rotated(Answer(0, (alias, *addresses)), by).answers
    assert turned[0] == alias
    assert sorted(turned[1:], key=lambda r: r.data) == list(addresses)
    if count:
        assert turned[1] == addresses[by % count]
