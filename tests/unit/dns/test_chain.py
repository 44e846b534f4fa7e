"""Which plug-in sees a query, in which order; what a plug-in's lines may say."""

from __future__ import annotations

import pytest

from testbed.dns.chain import KINDS, planned, read
from testbed.dns.corefile import CorefileError
from testbed.dns.plugin_cfg import PLUGIN_CFG
from testbed.model.corefile_text import corefile_text, kubeadm_corefile
from testbed.model.dns import DNS
from tests.unit.dns.surrounded import World, asked, said


def names(corefile: str, order: tuple[str, ...] = PLUGIN_CFG) -> list[str]:
    return [one.name for one in planned(corefile, order).blocks[0].plugins]


def test_plugins_are_in_the_order_of_plugin_cfg_however_they_are_written() -> None:
    corefile = ". {\n loop\n cache\n kubernetes c.local\n log\n errors\n}\n"
    assert names(corefile) == ["errors", "log", "cache", "kubernetes", "loop"]


def test_the_order_is_data() -> None:
    corefile = ". {\n cache\n hosts\n}\n"
    assert names(corefile, ("hosts", "cache")) == ["hosts", "cache"]


def test_all_that_is_built_has_its_place() -> None:
    assert set(KINDS) <= set(PLUGIN_CFG)


@pytest.mark.parametrize("has_upstream", [True, False])
def test_kubeadms_corefile_is_one(has_upstream: bool) -> None:
    plan = planned(kubeadm_corefile("cluster.local", has_upstream=has_upstream))
    names = [one.name for one in plan.blocks[0].plugins]
    assert ("forward" in names) is has_upstream
    assert names[:4] == ["reload", "ready", "health", "prometheus"]
    assert not plan.watches_pods


def test_plugins_of_a_topology_are_lines_of_a_corefile() -> None:
    block = {"name": "kubernetes", "parameters": "c.local", "configBlock": "pods verified\nttl 7"}
    dns = DNS.model_validate({"plugins": ["errors", {"name": "cache", "parameters": 30}, block]})
    text = corefile_text(dns)
    assert text == (
        ".:53 {\n    errors\n    cache 30\n    kubernetes c.local {\n"
        "        pods verified\n        ttl 7\n    }\n}\n"
    )
    assert planned(text).watches_pods


def test_the_longest_zone_answers_and_nobody_else_is_asked() -> None:
    world = World(files={"/a": "10.0.0.1 x.example.org y.test", "/b": "10.0.0.2 x.example.org"})
    chain = world.chain_of("org {\n hosts /a\n}\nexample.org {\n hosts /b\n}\n")
    assert said(asked(chain, "X.example.org")) == ["NOERROR", "X.example.org 3600 A 10.0.0.2"]
    assert said(asked(chain, "y.test")) == ["REFUSED"]


def test_every_mistake_is_told() -> None:
    plan, mistakes = read(". {\n cash 30\n health x\n loadbalance weighted\n}\n")
    assert plan is None
    assert [str(one) for one in mistakes] == [
        "2:2: there is no plug-in cash (did you mean cache?)",
        "3:9: x is no address with a port (write it like :8080)",
        "4:14: loadbalance weighted is not built here (use round_robin)",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("kubernetes", "kubernetes needs zones of its own"),
        ("kubernetes a {\n pods sure\n}", "sure is none of disabled, insecure, verified"),
        ("kubernetes a {\n ttl 3601\n}", "3601 is no whole number from 0 to 3600"),
        ("kubernetes a {\n labels app in a\n}", "'app in a' selects no labels"),
        ("kubernetes a {\n namespaces b\n namespace_labels c=d\n}", "exclude each other"),
        ("kubernetes a {\n kubeconfig f\n}", "kubernetes kubeconfig is not built here"),
        ("kubernetes a {\n ignore it\n}", "it is none of empty_service"),
        ("cache 30 {\n success\n}", "success needs a word behind it"),
        ("cache 30 {\n prefetch 10 1m 5%\n}", "5% is no share from 10% to 90%"),
        ("cache {\n servfail 6m\n}", "must be at most 300s"),
        ("cache {\n disable both\n}", "both is none of success, denial"),
        ("forward .", "forward needs 2 words behind it"),
        ("forward . tls://1.1.1.1", "tls is not built here"),
        ("forward . 1.1.1.1 {\n policy best\n}", "best is none of random, round_robin"),
        ("forward . 1.1.1.1 {\n health_check 1s domain\n}", "domain needs a name behind it"),
        ("hosts {\n 10.0.0.1\n}", "10.0.0.1 has no name behind it"),
        ("hosts {\n tll 5\n}", "hosts has no option tll"),
        ("rewrite", "rewrite needs a word behind it"),
        ("rewrite edns0 local set", "edns0 is none of name, type"),
        ("rewrite name regex ( a", "'(' is no regular expression"),
        ("rewrite name regex (a) {2}", "'(a)' has no group 2"),
        ("rewrite name a b answer maybe", "maybe is none of auto, name, value"),
        ("rewrite type A AAAAA", "'AAAAA' is not a record type"),
        ("autopath @etcd", "@etcd knows no search lists"),
        ("errors {\n consolidate 5m (\n}", "'(' is no regular expression"),
        ("log {\n class bad\n}", "bad is none of success, denial, error, all"),
        ("ready :70000", ":70000 is no address with a port"),
        ("reload 1s", "must be at least 2s"),
        ("reload 10s 6s", "the jitter is more than half of the interval"),
        ("bind eth0", "eth0 is no address"),
        ("loop twice", "twice is one word too many for loop"),
    ],
)
def test_what_a_plugin_does_not_take(line: str, message: str) -> None:
    with pytest.raises(CorefileError) as caught:
        planned(f". {{\n{line}\n}}\n")
    assert message in str(caught.value)
