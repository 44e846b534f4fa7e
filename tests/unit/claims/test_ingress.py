"""What was got by an ingress, as observations; and that a controller runs where claims are about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from testbed.claims import ingress
from testbed.claims.claim import Observation
from testbed.claims.entries import Entry
from testbed.claims.judging import always
from testbed.errors import UsageError
from testbed.experiment.design import SMOKE, arms, designed
from testbed.experiment.module import load
from testbed.experiment.setting import topologies
from testbed.model.topology import Topology

OWN = "172.18.0.9:40000"


def got(name: str, path: str, *bodies: str, status: int = 200, error: str = "") -> dict[str, Any]:
    """A row of the probe."""
    answers = [{"status": status, "body": body, "error": error} for body in bodies]
    return {"name": name, "path": path, "own": OWN, "answers": answers}


def exception(seen: Observation) -> str:
    """What speaks against the claim; "" where nothing does."""
    assert (seen["agreed"] < seen["tried"]) == bool(seen["exception"])
    return str(seen["exception"])


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (got("shop.test", "/cart/", "leaving-0", "leaving-1"), ""),
        (
            got("shop.test", "/cart/", "leaving-0", "lone-0"),
            "gave (200, 'lone-0')",
        ),
        (got("shop.test", "/cart/", "leaving-0", status=503), "gave (503, "),
        (got("shop.test", "/cart/", "", status=0, error="refused"), "gave refused"),
    ],
)
def test_whose_pods_answer_a_path(row: Mapping[str, Any], says: str) -> None:
    said = exception(ingress.routed([row]))
    assert says in said
    assert bool(says) == bool(said)


@pytest.mark.parametrize(
    ("row", "agreed"),
    [
        (got("orphan.test", "/", "leaving-0"), 1),
        (got("orphan.test", "/", "not found", status=404), 1),
        (got("orphan.test", "/", "lone-0"), 0),
        (got("orphan.test", "/", "", status=0, error="timeout"), 0),
    ],
    ids=["the default backend", "nobody", "its own service", "silence"],
)
def test_an_ingress_of_a_class_that_nobody_serves(row: Mapping[str, Any], agreed: int) -> None:
    assert ingress.without([row], "lone")["agreed"] == agreed


def test_text_is_answered_by_the_service_alone() -> None:
    service = {"host": "172.18.255.200", "port": 80, "who": "web-0", "error": ""}
    door = {"host": "172.18.255.206", "port": 80, "who": "", "error": "timeout"}
    assert exception(ingress.silent([service, door])) == ""
    said = exception(ingress.silent([service, {**door, "who": "web-1"}]))
    assert said == "web-1 answered at 172.18.255.206:80"
    said = exception(ingress.silent([{**service, "who": "", "error": "refused"}, door]))
    assert said == "the service itself gave refused"


NAMED, SCHEME = got("secure.test", "/hostname", "web-0"), got("secure.test", "/header", "https")
UNKNOWN = "certificate verify failed"


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (got("plain.test", "/hostname", "", status=0, error=UNKNOWN), ""),
        (got("plain.test", "/hostname", "web-0"), "plain.test/hostname gave (200, 'web-0')"),
    ],
)
def test_a_certificate_is_for_its_own_name(other: Mapping[str, Any], says: str) -> None:
    assert exception(ingress.verified([NAMED, SCHEME, other])) == says


@pytest.mark.parametrize(
    ("by_ingress", "by_service", "says"),
    [
        ("abcabc", "aaaaaa", ""),
        ("ababab", "aaaaaa", "by the ingress c got no request"),
        ("abcabc", "aaabaa", "by the service b answered after a"),
    ],
)
def test_requests_on_a_kept_connection(by_ingress: str, by_service: str, says: str) -> None:
    rows = [got("plain.test", "/hostname", *bodies) for bodies in (by_ingress, by_service)]
    assert exception(ingress.spread("abc", *rows)) == says


def test_requests_that_fail_are_no_balance() -> None:
    failed = got("plain.test", "/hostname", "", status=0, error="refused")
    seen = ingress.spread("abc", failed, failed)
    assert (seen["agreed"], seen["exception"]) == (0, "plain.test/hostname gave refused")


@pytest.mark.parametrize(
    ("header", "peer", "says"),
    [
        ("172.18.0.9", "10.244.1.3:5000", ""),
        ("172.18.0.2", "10.244.1.3:5000", "X-Forwarded-For was 172.18.0.2, the client 172.18.0.9"),
        ("172.18.0.9", "172.18.0.9:5000", "the pod's peer was 172.18.0.9:5000"),
    ],
)
def test_who_called(header: str, peer: str, says: str) -> None:
    rows = [got("plain.test", "/header", header)], [got("plain.test", "/clientip", peer)]
    assert exception(ingress.told(*rows, {"10.244.1.3"})) == says


def entry(src: str, dst: str) -> Entry:
    return Entry(src, dst, dst, src, True)


CONTROLLER, WEB, POD = "10.244.1.3", "10.96.0.7:80", "10.244.2.2:8080"


@pytest.mark.parametrize(
    ("entries", "verdict", "says"),
    [
        ([entry(f"{CONTROLLER}:1", WEB)], "holds", ""),
        ([entry(f"{CONTROLLER}:1", POD)] * 2, "does not hold", f"dialled {POD}, not {WEB}"),
        ([entry("10.244.9.9:1", POD)], "undecided", "no kernel knew of one"),
    ],
    ids=["the service", "a pod, as two nodes know", "somebody else"],
)
def test_what_a_controller_dials(entries: list[Entry], verdict: str, says: str) -> None:
    judged = always([ingress.by_address(entries, {CONTROLLER}, WEB, {POD})], "nftables")
    assert judged.verdict == verdict
    assert says in judged.answer
    assert judged.figures["tried"] == min(1, sum(one.src != "10.244.9.9:1" for one in entries))


@pytest.mark.parametrize(
    ("choice", "runs"),
    [("all", True), ("ingress", True), ("ingress-ends-tls", True), ("addresses", False)],
)
def test_a_controller_runs_where_claims_are_about_it(choice: str, runs: bool) -> None:
    claims = load("claims")
    for topology in topologies(claims, designed(claims, [f"claims={choice}"], profile=SMOKE), None):
        assert (topology.ingress is not None) == runs


def test_a_topology_without_a_controller_is_refused() -> None:
    claims = load("claims")
    design = designed(claims, ["claims=ingress"], profile=SMOKE)
    (shipped, *_) = topologies(claims, design, None)
    other = Topology.model_validate(shipped.model_copy(update={"ingress": None}))
    with pytest.raises(UsageError, match="need a controller"):
        claims.arrange(other, arms(design)[0])
