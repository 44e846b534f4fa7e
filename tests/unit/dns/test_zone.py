"""What a zone says to a question, and which questions a change touches."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.dns.wire import ANY, SOA, A, Record, rcode_text, type_number
from testbed.dns.zone import Answer, Zone
from testbed.dns.zone_options import POD_MODES, REVERSE, ZoneOptions
from testbed.model.containers import Container
from testbed.model.documents import Namespace
from testbed.model.label_selector import LabelSelector
from testbed.model.objects.endpoint_slices import (
    SERVICE_NAME_LABEL,
    Endpoint,
    EndpointSlice,
    TargetRef,
)
from testbed.model.objects.metadata import Object, ObjectMeta
from testbed.model.objects.pods import Pod, PodSpec, PodStatus
from testbed.model.objects.services import Service
from tests.specification.rows import ROWS, Row, number, objects, shown

CLUSTER = objects()
ZONES = ("cluster.local", *REVERSE)
WEB, PETS = "web.default.svc.cluster.local", "headless.default.svc.cluster.local"


def zone_of(*items: Object, options: ZoneOptions = ZoneOptions()) -> Zone:  # noqa: B008
    return Zone(options).after([("ADDED", item) for item in items], 7)[0]


def service(name: str, namespace: str = "default", **fields: object) -> Service:
    return Service(ObjectMeta(name, namespace), **fields)  # type: ignore[arg-type]


def slice_of(name: str, *endpoints: Endpoint, namespace: str = "default") -> EndpointSlice:
    meta = ObjectMeta(f"{name}-1", namespace, labels={SERVICE_NAME_LABEL: name})
    return EndpointSlice(meta, endpoints)


def said(found: Answer) -> tuple[str, frozenset[str], frozenset[str], frozenset[str]]:
    sections = (found.answers, found.authority, found.additional)
    answers, authority, additional = (frozenset(map(shown, section)) for section in sections)
    return rcode_text(found.rcode), answers, authority, additional


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_the_specification(row: Row) -> None:
    found = zone_of(*CLUSTER).lookup(row.name, number(row))
    assert said(found) == (row.rcode, row.answers, row.authority, row.additional)


def status(zone: Zone, name: str, rtype: str = "A") -> str:
    """NOERROR, NODATA or another rcode."""
    found = zone.lookup(name, type_number(rtype))
    if rcode_text(found.rcode) == "NOERROR" and not found.answers:
        return "NODATA"
    return rcode_text(found.rcode)


@pytest.mark.parametrize("name", ["www.example.com", "notcluster.local", "", "local", "arpa"])
def test_other_names_are_refused(name: str) -> None:
    assert status(zone_of(*CLUSTER), name) == "REFUSED"


def test_a_zone_of_another_name() -> None:
    options = ZoneOptions(zones=("lab.example", *REVERSE))
    zone = zone_of(service("web", cluster_ips=("10.96.1.1",)), options=options)
    assert status(zone, "web.default.svc.lab.example") == "NOERROR"
    assert status(zone, WEB) == "REFUSED"
    (pointer,) = zone.lookup("1.1.96.10.in-addr.arpa", type_number("PTR")).answers
    assert pointer.data == "web.default.svc.lab.example."


def test_without_reverse_zones_addresses_have_no_names() -> None:
    zone = zone_of(*CLUSTER, options=ZoneOptions(zones=("cluster.local",)))
    assert status(zone, "1.0.3.10.in-addr.arpa", "PTR") == "REFUSED"


@pytest.mark.parametrize("name", ["cluster.local", "in-addr.arpa", "ip6.arpa"])
def test_every_zone_has_an_soa_whose_serial_is_the_resource_version(name: str) -> None:
    (soa,) = zone_of(*CLUSTER).lookup(name, SOA).answers
    assert soa.data == f"ns.dns.{name}. hostmaster.{name}. 7 7200 1800 86400 5"


@pytest.mark.parametrize(
    "name", ["x.in-addr.arpa", "1.2.3.4.5.in-addr.arpa", f"1.{'g.' * 31}ip6.arpa"]
)
def test_what_stands_for_no_address_has_no_pointer(name: str) -> None:
    assert status(zone_of(*CLUSTER), name, "PTR") == "NXDOMAIN"


def test_any_is_everything_there_is() -> None:
    found = zone_of(*CLUSTER).lookup("dual.default.svc.cluster.local", ANY)
    assert {record.type for record in found.answers} == {1, 28, 33}


def test_external_names_in_a_circle_end() -> None:
    circle = service("a", type="ExternalName", external_name="a.default.svc.cluster.local")
    found = zone_of(circle).lookup("a.default.svc.cluster.local", A)
    assert rcode_text(found.rcode) == "NOERROR"
    assert len(found.answers) == 8
    assert found.elsewhere == ""


def test_an_external_name_outside_says_where_to_go_on() -> None:
    found = zone_of(*CLUSTER).lookup("foo.default.svc.cluster.local", A)
    assert found.elsewhere == "www.example.com"
    assert [record.data for record in found.answers] == ["www.example.com."]


def test_a_service_without_an_address_yet_exists() -> None:
    assert status(zone_of(service("pending")), "pending.default.svc.cluster.local") == "NODATA"


def test_a_slice_of_names_has_no_addresses() -> None:
    named = replace(slice_of("pets", Endpoint(("db.example.com",))), address_type="FQDN")
    zone = zone_of(service("pets", cluster_ips=("None",)), named)
    assert status(zone, "pets.default.svc.cluster.local") == "NXDOMAIN"


def test_a_slice_that_names_another_service_moves() -> None:
    moved = replace(
        slice_of("headless", Endpoint(("10.4.0.9",))),
        meta=ObjectMeta("headless-1", "default", labels={SERVICE_NAME_LABEL: "empty"}),
    )
    zone, touched = zone_of(*CLUSTER).after([("MODIFIED", moved)], 8)
    assert status(zone, PETS) == "NXDOMAIN"
    assert zone.lookup("empty.default.svc.cluster.local", A).answers[0].data == "10.4.0.9"
    assert {PETS, "empty.default.svc.cluster.local", "100.0.4.10.in-addr.arpa"} <= touched


LABELS = st.sampled_from(
    [
        "web",
        "default",
        "svc",
        "pod",
        "_http",
        "_tcp",
        "dns",
        "10",
        "f",
        "10-4-0-1",
        "fe80--1%1",
        "a\\.b",
    ]
)


@settings(deadline=None)
@given(st.lists(LABELS | st.text(max_size=8), max_size=40), st.sampled_from(["", *ZONES]))
def test_every_question_has_an_answer(labels: list[str], zone: str) -> None:
    name = ".".join([*labels, zone]) if zone else ".".join(labels)
    for mode in POD_MODES:
        found = zone_of(*CLUSTER[:8], options=ZoneOptions(pods=mode)).lookup(name, A)
        assert rcode_text(found.rcode) in ("NOERROR", "NXDOMAIN", "REFUSED")


# The options of the plug-in


POD = Pod(
    ObjectMeta("web-0", "default", labels={"app": "web"}),
    PodSpec((Container("c", "i"),)),
    PodStatus("Running", ("10.4.0.20", "fd00:4::20")),
)


@pytest.mark.parametrize(
    ("mode", "name", "expected"),
    [
        ("disabled", "10-4-0-20.default.pod", "NXDOMAIN"),
        ("disabled", "default.pod", "NXDOMAIN"),
        ("insecure", "10-4-0-99.default.pod", "NOERROR"),
        ("verified", "10-4-0-20.default.pod", "NOERROR"),
        ("verified", "fd00-4--20.default.pod", "NODATA"),
        ("verified", "10-4-0-99.default.pod", "NXDOMAIN"),
        ("verified", "10-4-0-20.quiet.pod", "NXDOMAIN"),
        ("verified", "default.pod", "NODATA"),
        ("verified", "x.10-4-0-20.default.pod", "NXDOMAIN"),
    ],
)
def test_modes_of_pod_names(mode: str, name: str, expected: str) -> None:
    zone = zone_of(*CLUSTER, POD, options=ZoneOptions(pods=mode))
    assert status(zone, f"{name}.cluster.local") == expected


@pytest.mark.parametrize(
    "gone",
    [
        replace(POD, meta=replace(POD.meta, deletion_s=1.0)),
        replace(POD, status=PodStatus("Succeeded", ("10.4.0.20",))),
        replace(POD, status=PodStatus("Pending")),
    ],
)
def test_a_pod_that_does_not_run_is_not_verified(gone: Pod) -> None:
    zone = zone_of(*CLUSTER, POD, options=ZoneOptions(pods="verified"))
    assert zone.pods_at("10.4.0.20") == {("default", "web-0")}
    later, touched = zone.after([("MODIFIED", gone)], 8)
    assert status(later, "10-4-0-20.default.pod.cluster.local") == "NXDOMAIN"
    assert not later.pods_at("10.4.0.20")
    assert zone.lookup("10-4-0-20.default.pod.cluster.local", A).depends & touched


def test_endpoints_may_be_named_like_their_pods() -> None:
    endpoint = Endpoint(("10.4.0.1",), target=TargetRef("default", "web-0"))
    items = service("pets", cluster_ips=("None",)), slice_of("pets", endpoint)
    zone = zone_of(*items, options=ZoneOptions(endpoint_pod_names=True))
    assert status(zone, "web-0.pets.default.svc.cluster.local") == "NOERROR"
    assert status(zone, "10-4-0-1.pets.default.svc.cluster.local") == "NXDOMAIN"


def test_noendpoints_leaves_neither_endpoints_nor_headless_services() -> None:
    zone = zone_of(*CLUSTER, options=ZoneOptions(endpoints=False))
    assert status(zone, PETS) == "NXDOMAIN"
    assert status(zone, "100.0.4.10.in-addr.arpa", "PTR") == "NXDOMAIN"
    assert status(zone, WEB) == "NOERROR"


def test_an_empty_service_may_be_ignored() -> None:
    zone = zone_of(*CLUSTER, options=ZoneOptions(ignore_empty_service=True))
    plain, pointer = "plain.default.svc.cluster.local", "21.0.3.10.in-addr.arpa"
    assert (status(zone, plain), status(zone, WEB)) == ("NXDOMAIN", "NOERROR")
    later, touched = zone.after([("ADDED", slice_of("plain", Endpoint(("10.4.0.1",))))], 8)
    assert (status(later, plain), status(later, pointer, "PTR")) == ("NOERROR", "NOERROR")
    assert {plain, pointer} <= touched


def test_only_some_namespaces() -> None:
    zone = zone_of(*CLUSTER, options=ZoneOptions(namespaces=("quiet",)))
    assert status(zone, WEB) == "NXDOMAIN"
    assert status(zone, "20.0.3.10.in-addr.arpa", "PTR") != "NOERROR"
    assert status(zone, "quiet.svc.cluster.local") == "NODATA"


def test_only_namespaces_with_labels_which_may_change() -> None:
    options = ZoneOptions(namespace_labels=LabelSelector({"dns": "yes"}))
    zone = zone_of(*CLUSTER, options=options)
    names = [(WEB, "A"), ("20.0.3.10.in-addr.arpa", "PTR"), ("100.0.4.10.in-addr.arpa", "PTR")]
    before = [zone.lookup(name, type_number(kind)) for name, kind in names]
    labelled = Namespace(ObjectMeta("default", labels={"dns": "yes"}))
    later, touched = zone.after([("MODIFIED", labelled)], 8)
    assert {status(zone, *name) for name in names} <= {"NXDOMAIN", "NODATA"}
    assert {status(later, *name) for name in names} == {"NOERROR"}
    assert all(answer.depends & touched for answer in before)


def test_only_objects_with_labels() -> None:
    options = ZoneOptions(labels=LabelSelector({"app": "web"}))
    web = Service(ObjectMeta("web", "default", labels={"app": "web"}), cluster_ips=("10.3.0.1",))
    zone = zone_of(web, service("other", cluster_ips=("10.3.0.2",)), options=options)
    assert status(zone, WEB) == "NOERROR"
    assert status(zone, "other.default.svc.cluster.local") == "NXDOMAIN"
    unlabelled = replace(web, meta=ObjectMeta("web", "default"))
    assert status(zone.after([("MODIFIED", unlabelled)], 8)[0], WEB) == "NXDOMAIN"


# Changes


def variants(item: Object) -> list[Object]:
    """The object, and what a user may make of it."""
    if isinstance(item, EndpointSlice):
        turned = tuple(replace(one, ready=not one.ready) for one in item.endpoints)
        renamed = tuple(replace(one, hostname="renamed") for one in item.endpoints)
        return [item, replace(item, endpoints=turned), replace(item, endpoints=renamed)]
    if isinstance(item, Service):
        published = replace(item, publish_not_ready_addresses=not item.publish_not_ready_addresses)
        headless = replace(item, cluster_ips=("None",), type="ClusterIP")
        return [item, published, headless, replace(item, ports=())]
    labels = {"dns": "yes"}
    return [item, Namespace(replace(item.meta, labels=labels))]


ITEMS = [each for item in CLUSTER for each in variants(item)]
STEPS = st.lists(st.tuples(st.booleans(), st.sampled_from(ITEMS)), min_size=1, max_size=12)
OPTIONS = st.sampled_from(
    [
        ZoneOptions(),
        ZoneOptions(ignore_empty_service=True),
        ZoneOptions(namespace_labels=LabelSelector({"dns": "yes"})),
    ]
)


def asked(zone: Zone) -> list[Answer]:
    return [zone.lookup(row.name, number(row)) for row in ROWS.values()]


@settings(deadline=None, max_examples=40)
@given(STEPS, OPTIONS)
def test_a_zone_depends_on_the_state_not_on_the_path(
    steps: list[tuple[bool, Object]], options: ZoneOptions
) -> None:
    zone = Zone(options)
    left: dict[tuple[str, str, str], Object] = {}
    for add, item in steps:
        zone, _ = zone.after([("MODIFIED" if add else "DELETED", item)], 7)
        key = (item.kind, item.meta.namespace, item.meta.name)
        left.pop(key, None)
        if add:
            left[key] = item
    assert asked(zone) == asked(zone_of(*left.values(), options=options))


@settings(deadline=None, max_examples=40)
@given(STEPS, OPTIONS)
def test_a_change_touches_every_answer_that_it_changes(
    steps: list[tuple[bool, Object]], options: ZoneOptions
) -> None:
    zone = zone_of(*CLUSTER, options=options)
    said_before = asked(zone)
    for add, item in steps:
        zone, touched = zone.after([("MODIFIED" if add else "DELETED", item)], 7)
        said_now = asked(zone)
        for before, now in zip(said_before, said_now, strict=True):
            assert before == now or before.depends & touched
        said_before = said_now


def test_what_a_change_does_not_concern_is_not_touched() -> None:
    changed = slice_of("web", Endpoint(("10.4.0.21",)))
    _, touched = zone_of(*CLUSTER).after([("MODIFIED", changed)], 8)
    pointers = {"20.0.4.10.in-addr.arpa", "21.0.4.10.in-addr.arpa"}
    assert touched == {WEB, *pointers, "cluster.local", *REVERSE}


def test_what_is_above_an_address_comes_and_goes_with_it() -> None:
    above = ["0.9.10.in-addr.arpa", "9.10.in-addr.arpa"]
    zone = zone_of(*CLUSTER)
    far = service("far", cluster_ips=("10.9.0.1",))
    there, added = zone.after([("ADDED", far)], 8)
    gone, removed = there.after([("DELETED", far)], 9)
    for touched in (added, removed):
        assert set(above) <= touched
        assert "10.in-addr.arpa" not in touched  # others are below it, too
    for name in above:
        assert [status(one, name, "PTR") for one in (zone, there, gone)] == [
            "NXDOMAIN",
            "NODATA",
            "NXDOMAIN",
        ]


def test_a_version_shares_what_has_not_changed() -> None:
    items = [service(f"s{number}", cluster_ips=(f"10.3.1.{number}",)) for number in range(200)]
    zone = zone_of(*items)
    later, _ = zone.after([("MODIFIED", replace(items[7], cluster_ips=("10.3.2.7",)))], 8)
    keys = [("default", item.meta.name) for item in items]
    made = [key for key in keys if later.published(key) is not zone.published(key)]
    assert made == [("default", "s7")]


def test_a_change_without_effect_on_names_touches_only_the_serial() -> None:
    web = next(item for item in CLUSTER if item.meta.name == "web" and isinstance(item, Service))
    slices = [item for item in CLUSTER if isinstance(item, EndpointSlice)]
    far = [
        replace(item, endpoints=tuple(replace(e, zone="b") for e in item.endpoints))
        for item in slices
    ]
    zone, touched = zone_of(*CLUSTER).after([("MODIFIED", web), *(("MODIFIED", s) for s in far)], 8)
    assert touched == {"cluster.local", *REVERSE}
    assert zone.lookup(WEB, A).answers == (Record(WEB, A, 5, "10.3.0.20"),)
