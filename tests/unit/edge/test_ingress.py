"""From ingresses to HAProxy's maps and servers: tables."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.apiserver.admission import completed
from testbed.edge.haproxy_text import Configuration, Server, text
from testbed.edge.ingress import served
from testbed.edge.ingress_config import Site, configuration
from testbed.edge.ingress_objects import default_class, rules_of, with_classes
from testbed.edge.ingress_options import Options
from testbed.model.documents import Ingress, IngressClass
from testbed.model.objects.endpoint_slices import Endpoint, EndpointPort
from testbed.model.objects.metadata import Object, with_meta
from testbed.model.objects.services import ServicePort
from testbed.store import Snapshot
from tests.unit.edge.ingresses import (
    backend,
    endpoint_slice,
    ingress,
    ingress_class,
    path,
    service,
    stored,
    tls_secret,
)

SITE = Site((4,), "DEFAULT PEM\n")
WEB, CART = service("web"), service("cart", ServicePort(80, "http"))


def configured(
    *objects: Object, have: Configuration | None = None, **options: Any
) -> Configuration:
    snapshot = stored(ingress_class(), WEB, CART, *objects)
    found, _ = served(snapshot, Options(**options), SITE.families)
    return configuration(Options(**options), SITE, found, have)


def troubles(*objects: Object) -> list[tuple[str, str]]:
    snapshot = stored(ingress_class(), WEB, CART, *objects)
    return [(one.reason, one.message) for one in served(snapshot, Options(), (4,))[1]]


MAPS: tuple[tuple[str, tuple[Object, ...], dict[str, dict[str, str]]], ...] = (
    (
        "a prefix is of whole elements, with or without a slash at its end",
        (ingress("a", ("x.test", [path("/a", "web"), path("/b/", "cart")])),),
        {"http-prefix.map": {"x.test/a/": "default_web_80", "x.test/b/": "default_cart_http"}},
    ),
    (
        "exact paths are for themselves",
        (ingress("a", ("x.test", [path("/a", "web", "Exact"), path("/", "cart")])),),
        {
            "http-exact.map": {"x.test/a/": "default_web_80"},
            "http-prefix.map": {"x.test/": "default_cart_http"},
        },
    ),
    (
        "implementation-specific is a prefix",
        (ingress("a", ("x.test", [path("/a", "web", "ImplementationSpecific")])),),
        {"http-prefix.map": {"x.test/a/": "default_web_80"}},
    ),
    (
        "a port by name, a host in capitals, a wildcard, any host",
        (
            ingress("a", ("X.test", [path("/", "cart", port="http")])),
            ingress("b", ("*.x.test", [path("/", "web")]), ("", [path("/", "web")])),
        ),
        {
            "hosts.map": {"x.test": "x.test", "*.x.test": "*.x.test"},
            "http-prefix.map": {
                "x.test/": "default_cart_http",
                "*.x.test/": "default_web_80",
                "*/": "default_web_80",
            },
        },
    ),
    (
        "the default backend is for what no path of its own hosts matches, and for other hosts",
        (
            ingress("a", ("x.test", [path("/a", "web")]), defaultBackend=backend("cart")),
            ingress("b", ("y.test", [path("/", "web")]), ("z.test", [])),
        ),
        {
            "http-prefix.map": {
                "x.test/a/": "default_web_80",
                "x.test/": "default_cart_http",
                "y.test/": "default_web_80",
                "z.test/": "default_cart_http",
                "*/": "default_cart_http",
            }
        },
    ),
    (
        "hosts with a certificate are sent to https",
        (
            ingress(
                "a",
                ("x.test", [path("/", "web")]),
                ("y.test", [path("/", "web")]),
                tls=[{"hosts": ["x.test"]}],
            ),
        ),
        {
            "http-prefix.map": {"x.test/": "to-https-302", "y.test/": "default_web_80"},
            "https-prefix.map": {"x.test/": "default_web_80", "y.test/": "default_web_80"},
        },
    ),
    (
        "who says so is sent there, with the code that he says",
        (
            ingress(
                "a",
                ("x.test", [path("/", "web")]),
                annotations={
                    "haproxy.org/ssl-redirect": "true",
                    "haproxy.org/ssl-redirect-code": "308",
                },
            ),
        ),
        {"http-prefix.map": {"x.test/": "to-https-308"}},
    ),
    (
        "who says no stays, certificate or not",
        (
            ingress(
                "a",
                ("x.test", [path("/", "web")]),
                tls=[{}],
                annotations={"haproxy.org/ssl-redirect": "false"},
            ),
        ),
        {"http-prefix.map": {"x.test/": "default_web_80"}},
    ),
    (
        "of two that want the same, the older one has it",
        (
            ingress("b", ("x.test", [path("/", "web")])),
            ingress("a", ("x.test", [path("/", "cart"), path("/a", "cart")])),
        ),
        {"http-prefix.map": {"x.test/": "default_web_80", "x.test/a/": "default_cart_http"}},
    ),
    (
        "what is not there is answered with 503",
        (ingress("a", ("x.test", [path("/", "nobody"), path("/b", "web", port=81)])),),
        {"http-prefix.map": {"x.test/": "no-service", "x.test/b/": "no-service"}},
    ),
    (
        "those of other classes are left alone",
        (
            ingress_class("other", "example.com/other"),
            ingress("a", ("x.test", [path("/", "web")]), ingressClassName="other"),
            ingress("b", ("y.test", [path("/", "web")]), ingressClassName=None),
        ),
        {"hosts.map": {}, "http-prefix.map": {}},
    ),
    (
        "a class by its old annotation, and another class of the same controller",
        (
            ingress_class("second"),
            ingress(
                "a",
                ("x.test", [path("/", "web")]),
                ingressClassName=None,
                annotations={"kubernetes.io/ingress.class": "haproxy"},
            ),
            ingress("b", ("y.test", [path("/", "web")]), ingressClassName="second"),
        ),
        {"http-prefix.map": {"x.test/": "default_web_80", "y.test/": "default_web_80"}},
    ),
)


@pytest.mark.parametrize(("objects", "maps"), [r[1:] for r in MAPS], ids=[r[0] for r in MAPS])
def test_maps(objects: tuple[Object, ...], maps: dict[str, dict[str, str]]) -> None:
    found = configured(*objects).maps
    assert {name: dict(found[name]) for name in maps} == maps


PLAIN = ingress("a", ("x.test", [path("/", "web")]))
ENDPOINTS: tuple[tuple[str, tuple[Object, ...], list[Server]], ...] = (
    ("none", (), []),
    (
        "ready ones, in order, each once",
        (
            endpoint_slice("web", Endpoint(("10.0.0.3",)), Endpoint(("10.0.0.2",))),
            endpoint_slice("web", Endpoint(("10.0.0.2",)), suffix="y"),
        ),
        [Server("10.0.0.2", 8080), Server("10.0.0.3", 8080)],
    ),
    (
        "one that is not ready is none; one that has not been served by does not begin to end",
        (
            endpoint_slice(
                "web",
                Endpoint(("10.0.0.2",), ready=False, serving=False),
                Endpoint(("10.0.0.3",), ready=False, terminating=True),
            ),
        ),
        [],
    ),
    (
        "of another port, another protocol, another family",
        (
            endpoint_slice("web", Endpoint(("10.0.0.2",)), ports=(EndpointPort(8080, "b"),)),
            endpoint_slice(
                "web", Endpoint(("10.0.0.3",)), ports=(EndpointPort(8080, "", "UDP"),), suffix="y"
            ),
            endpoint_slice("web", Endpoint(("fd00::2",)), address_type="IPv6", suffix="z"),
        ),
        [],
    ),
)


@pytest.mark.parametrize(
    ("slices", "servers"), [r[1:] for r in ENDPOINTS], ids=[r[0] for r in ENDPOINTS]
)
def test_endpoints(slices: tuple[Object, ...], servers: list[Server]) -> None:
    pool = next(one for one in configured(PLAIN, *slices).pools if one.name == "default_web_80")
    assert [one for one in pool.servers if one.state != "maint"] == servers
    assert len(pool.servers) == 16


def test_an_endpoint_that_ends_keeps_its_slot_and_gets_nothing_new() -> None:
    two = endpoint_slice("web", Endpoint(("10.0.0.2",)), Endpoint(("10.0.0.3",)))
    before = configured(PLAIN, two)
    ending = Endpoint(("10.0.0.2",), ready=False, serving=True, terminating=True)
    after = configured(PLAIN, endpoint_slice("web", ending, Endpoint(("10.0.0.1",))), have=before)
    pool = next(one for one in after.pools if one.name == "default_web_80")
    assert pool.servers[:3] == (
        Server("10.0.0.2", 8080, "drain"),
        Server("10.0.0.1", 8080),
        Server("127.0.0.1", 1, "maint"),
    )


TROUBLES: tuple[tuple[tuple[Object, ...], list[tuple[str, str]]], ...] = (
    ((PLAIN,), []),
    (
        (ingress("a", ("x.test", [path("/", "nobody")])),),
        [("ServiceNotFound", "there is no service default/nobody")],
    ),
    (
        (ingress("a", ("x.test", [path("/", "cart", port="grpc")])),),
        [("ServicePortNotFound", "service default/cart has no TCP port grpc; it has 80 http")],
    ),
    (
        (
            service("far", type="ExternalName", external_name="example.com"),
            ingress("a", ("x.test", [path("/", "far")])),
        ),
        [("UnsupportedBackend", "service default/far is an ExternalName, which has no endpoints")],
    ),
    (
        (
            ingress(
                "a",
                defaultBackend={"resource": {"kind": "Bucket", "name": "b"}},
            ),
        ),
        [("UnsupportedBackend", "backend Bucket b: only services are served here")],
    ),
    (
        (ingress("a", ("x.test", [path("/a", "web")]), ingressClassName="no"),),
        [("IngressClassNotFound", "there is no IngressClass no")],
    ),
    (
        (ingress("a", ("x.test", [path("/", "web")]), tls=[{"secretName": "s"}]),),
        [
            (
                "SecretNotFound",
                "there is no secret default/s: the default certificate is shown instead",
            )
        ],
    ),
    (
        (
            tls_secret("s", "x.test", key=""),
            ingress("a", ("x.test", [path("/", "web")]), tls=[{"secretName": "s"}]),
        ),
        [
            (
                "InvalidCertificate",
                "secret default/s: it has no tls.key: the default certificate is shown instead",
            )
        ],
    ),
    (
        (PLAIN, ingress("b", ("x.test", [path("/", "cart")]))),
        [("HostPathTaken", "x.test/ is default/a's already, which is older")],
    ),
    (
        (
            ingress(
                "a",
                ("x.test", [path("/", "web")]),
                annotations={"haproxy.org/load-balance": "best", "haproxy.org/cors": "x"},
            ),
        ),
        [
            (
                "InvalidAnnotation",
                "annotation haproxy.org/cors is not known here; there is haproxy.org/ssl-redirect,"
                " haproxy.org/ssl-redirect-code, haproxy.org/load-balance, haproxy.org/path-rewrite",
            ),
            (
                "InvalidAnnotation",
                "annotation haproxy.org/load-balance: 'best' is none of roundrobin, static-rr,"
                " leastconn, random, source, first",
            ),
        ],
    ),
)


@pytest.mark.parametrize(("objects", "wrong"), TROUBLES, ids=[str(r[1])[:40] for r in TROUBLES])
def test_troubles(objects: tuple[Object, ...], wrong: list[tuple[str, str]]) -> None:
    assert troubles(*objects) == wrong


WRONG_KEYS = (
    ({"crt": "x"}, "tls.crt is no certificate in PEM"),
    ({"key": "x"}, "tls.key is no private key in PEM that needs no password"),
)


@pytest.mark.parametrize(("data", "message"), WRONG_KEYS)
def test_secrets_that_are_none(data: dict[str, str], message: str) -> None:
    item = ingress("a", ("x.test", [path("/", "web")]), tls=[{"secretName": "s"}])
    (_, said), *_ = troubles(tls_secret("s", "x.test", **data), item)
    assert said.startswith(f"secret default/s: {message}")


def test_a_certificate_is_shown_for_each_host_of_its_entry() -> None:
    hosts = ["x.test", "*.y.test"]
    found = configured(
        tls_secret("s", *hosts),
        ingress("a", ("x.test", [path("/", "web")]), tls=[{"hosts": hosts, "secretName": "s"}]),
    )
    assert [(use.file, use.hosts) for use in found.uses] == [
        ("default.pem", ()),
        ("default_s@_.y.test.pem", ("*.y.test",)),
        ("default_s@x.test.pem", ("x.test",)),
    ]
    assert found.certificates["default_s@x.test.pem"].count("-----BEGIN") == 2


def test_what_annotations_change_is_a_backend_of_its_own() -> None:
    rewritten = {"haproxy.org/path-rewrite": "/", "haproxy.org/load-balance": "leastconn"}
    found = text(
        configured(PLAIN, ingress("b", ("y.test", [path("/", "web")]), annotations=rewritten))
    )
    assert "backend default_web_80\n    balance roundrobin\n" in found
    assert "    balance leastconn\n    http-request replace-path (.*) /\n" in found


def test_the_newest_default_class_is_taken_then_the_first_by_name() -> None:
    snapshot: Snapshot = stored(
        ingress_class("a", default=True), ingress_class("c", default=True), ingress_class("d")
    )
    classes = list(snapshot.list(IngressClass))
    same_age = [with_meta(one, creation_s=1.0) for one in classes]
    assert (default_class(classes), default_class(same_age), default_class(classes[2:])) == (
        "c",
        "a",
        None,
    )


def test_a_new_ingress_without_a_class_gets_the_default_one() -> None:
    bare = ingress("a", ("x.test", [path("/", "web")]), ingressClassName=None)
    old = with_meta(bare, annotations={"kubernetes.io/ingress.class": "old"})
    found = with_classes([ingress_class(default=True), bare, old, WEB], stored())
    assert [rules_of(one).class_name for one in found if isinstance(one, Ingress)] == [
        "haproxy",
        "old",
    ]


def test_the_api_gives_a_new_ingress_the_default_class() -> None:
    snapshot = stored(ingress_class("plain"), ingress_class("first", default=True))
    bare = {"kind": "Ingress", "metadata": {"name": "a"}, "spec": {"rules": []}}
    old = {**bare, "metadata": {"annotations": {"kubernetes.io/ingress.class": "old"}}}
    named = {**bare, "spec": {"ingressClassName": "plain"}}
    found = [completed(one, snapshot, 300.0, is_new=True) for one in (bare, old, named)]
    assert [one["spec"].get("ingressClassName") for one in found] == ["first", None, "plain"]
    assert completed(bare, snapshot, 300.0, is_new=False) == bare
