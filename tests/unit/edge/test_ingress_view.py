"""Ingresses as `inspect` has them: a table of what is wrong, and what a person reads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from testbed.cli.inspect import ingress_parts
from testbed.edge.ingress_view import ingresses
from testbed.model.containers import Container
from testbed.model.ingress_objects import IMAGE
from testbed.model.objects.metadata import Object, ObjectMeta, with_meta
from testbed.model.objects.pods import Pod, PodSpec, PodStatus
from tests.addresses import PLAN
from tests.unit.edge.ingresses import (
    CONTROLLER,
    backend,
    ingress,
    ingress_class,
    path,
    service,
    stored,
    tls_secret,
)

NODE = PLAN.nodes["n1"]


def controller(*arguments: str, ready: bool = True) -> Pod:
    spec = PodSpec((Container("haproxy", IMAGE, args=arguments),), node_name="n1")
    status = PodStatus("Running", (NODE,), ready=ready)
    return Pod(ObjectMeta("haproxy-0", "ingress-system", "u0"), spec, status)


LAB: tuple[Object, ...] = (ingress_class(), controller(), service("web"), service("cart"))
SHOP = ingress(
    "shop",
    ("x.test", [path("/", "web"), path("/cart", "cart", "Exact")]),
    tls=[{"hosts": ["x.test"], "secretName": "x-tls"}],
)


def test_a_row() -> None:
    points = {"loadBalancer": {"ingress": [{"ip": NODE}, {"hostname": "lb.test"}]}}
    item = with_meta(SHOP, rest={**SHOP.body, "status": points})
    assert ingresses(stored(*LAB, tls_secret("x-tls", "x.test"), item)) == [
        {
            "namespace": "default",
            "name": "shop",
            "class": "haproxy",
            "addresses": [NODE, "lb.test"],
            "hosts": ["x.test"],
            "paths": [
                {
                    "host": "x.test",
                    "path": "/",
                    "pathType": "Prefix",
                    "service": "web",
                    "port": 80,
                },
                {
                    "host": "x.test",
                    "path": "/cart",
                    "pathType": "Exact",
                    "service": "cart",
                    "port": 80,
                },
            ],
            "defaultBackend": None,
            "tls": [{"hosts": ["x.test"], "secret": "x-tls"}],
            "troubles": [],
        }
    ]


PLAIN = ingress("a", ("x.test", [path("/", "web")]))
CLASSLESS = ingress("a", ("x.test", [path("/", "web")]), ingressClassName=None)
TROUBLES: tuple[tuple[str, tuple[Object, ...], list[tuple[str, str]]], ...] = (
    ("none", (*LAB, PLAIN), []),
    (
        "a Secret that is not there",
        (*LAB, SHOP),
        [
            (
                "SecretNotFound",
                "there is no secret default/x-tls: the default certificate is shown instead",
            )
        ],
    ),
    (
        "a service that is not there, and a port that it has not",
        (*LAB, ingress("a", ("", [path("/", "wep"), path("/x", "web", port="http")]))),
        [
            ("ServiceNotFound", "there is no service default/wep"),
            ("ServicePortNotFound", "service default/web has no TCP port http; it has 80"),
        ],
    ),
    (
        "a class that is not there",
        (*LAB, ingress("a", ("x.test", [path("/", "web")]), ingressClassName="nginx")),
        [("IngressClassNotFound", "there is no IngressClass nginx; there is haproxy")],
    ),
    (
        "no class",
        (*LAB, CLASSLESS),
        [
            (
                "NoIngressClass",
                "it names no IngressClass, and none was the default one when it was made",
            )
        ],
    ),
    (
        "a controller that nobody runs, and a service that is not there",
        (ingress_class(), PLAIN),
        [
            (
                "NoController",
                f"no pod of {IMAGE} has --controller={CONTROLLER}, as class haproxy wants it",
            ),
            ("ServiceNotFound", "there is no service default/web"),
        ],
    ),
    (
        "a controller of another name",
        (ingress_class(), controller("--controller=example.com/x"), service("web"), PLAIN),
        [
            (
                "NoController",
                f"no pod of {IMAGE} has --controller={CONTROLLER}, as class haproxy wants it",
            )
        ],
    ),
    (
        "a controller that is not ready",
        (ingress_class(), controller(ready=False), service("web"), PLAIN),
        [
            (
                "ControllerNotReady",
                f"no pod of class haproxy's controller, {CONTROLLER}, is ready",
            )
        ],
    ),
    (
        "a path that an older one has",
        (*LAB, replace(PLAIN, meta=replace(PLAIN.meta, name="0")), PLAIN),
        [("HostPathTaken", "x.test/ is default/0's already, which is older")],
    ),
)


@pytest.mark.parametrize(
    ("objects", "found"), [r[1:] for r in TROUBLES], ids=[r[0] for r in TROUBLES]
)
def test_what_is_wrong(objects: tuple[Object, ...], found: list[tuple[str, str]]) -> None:
    row = ingresses(stored(*objects))[-1]
    assert [(one["reason"], one["message"]) for one in row["troubles"]] == found


def test_ingresses_that_nobody_carries_take_no_path_from_each_other() -> None:
    other = replace(PLAIN, meta=replace(PLAIN.meta, name="0"))
    rows = ingresses(stored(ingress_class(), service("web"), other, PLAIN))
    reasons = [one["reason"] for row in rows for one in row["troubles"]]
    assert reasons == ["NoController", "NoController"]


TEXT = """\
NAMESPACE   INGRESS   CLASS     ADDRESS     HOST     PATH            BACKEND                TLS
default     a         haproxy   <pending>   *        (default)       web:80                 -
default     b         <none>    <pending>   x.test   /               StorageBucket assets   default
default     shop      haproxy   <pending>   x.test   /               web:80                 x-tls
default     shop      haproxy   <pending>   x.test   /cart (exact)   cart:80                x-tls"""


def test_a_row_for_each_path_and_a_line_for_what_is_wrong() -> None:
    bucket: dict[str, Any] = {"resource": {"kind": "StorageBucket", "name": "assets"}}
    rules = ("x.test", [{"path": "/", "pathType": "Prefix", "backend": bucket}])
    items = (
        SHOP,
        ingress("a", defaultBackend=backend("web")),
        ingress("b", rules, tls=[{}], ingressClassName=None),
    )
    rows, troubles = ingress_parts(ingresses(stored(*LAB, tls_secret("x-tls", "x.test"), *items)))
    assert rows == TEXT
    assert troubles.splitlines() == [
        "ingress default/b: it names no IngressClass, and none was the default one when it was made",
        "ingress default/b: backend StorageBucket assets: only services are served here",
    ]
