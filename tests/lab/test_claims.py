"""What is said about Kubernetes networking, observed in real labs: what must come out in any trial."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.claims.failures import SLACK_MS
from testbed.claims.findings import findings
from tests.lab.conducted import conducted

pytestmark = pytest.mark.lab

HOLD = {
    "flat-network",
    "source-unchanged",
    "full-size-packets",
    "node-reaches-its-pods",
    "pods-by-cluster-address",
    "node-without-backend",
    "automatic-address",
    "name-leads-to-address",
    "headless-name-leads-to-pods",
    "pod-address-is-a-name",
    "address-leads-back",
    "node-port-everywhere",
    "load-balancer-pending",
    "external-address-reachable",
    "cluster-obscures-source",
    "local-keeps-source",
    "local-only-local-endpoints",
    "health-check-node-port",
    "source-ranges-keep-out",
    "source-ranges-let-in",
    "affinity-by-external-address",
    "ingress-host-and-path",
    "ingress-default-backend",
    "ingress-needs-controller",
    "ingress-http-only",
    "ingress-ends-tls",
    "ingress-balances-requests",
    "ingress-forwarded-for",
    "ingress-endpoint-leaves",
    "reply-same-way",
    "address-changes-at-client-node",
    "each-node-chooses",
    "ready-at-last-sync",
    "relabel-out",
    "relabel-in",
    "scale-out-moves-load",
    "service-address-stays",
    "proxy-not-in-path",
    "crash-kept-tcp",
}
DO_NOT_HOLD = {
    "any-name-leads-to-address",
    "pod-name-leads-to-pod",
    "node-port-directly",
    "node-port-by-cluster-address",
    "ingress-by-cluster-address",
    "rule-probabilities",
    "round-robin",
    "address-kept-when-rescheduled",
}
FELT_UNTIL_WITHDRAWN = {"crash-new-tcp", "crash-new-udp", "crash-kept-udp"}
"""By some of these flows at least, unless the kubelet happens to look just then."""
NEED_MORE_TRIALS = {"a-third-each", "random-pick", "as-told", "evens-out", "busy-pod-gets-less"}


def test_every_claim_in_one_trial(tmp_path: Path) -> None:
    """same-backend-first is left open: it is chance's."""
    run = conducted("claims", tmp_path, "proxy=nftables", "duration_s=1")
    found = {finding.name: finding for finding in findings(run)}
    said = {name: finding.answer for name, finding in found.items()}
    by_verdict = {
        verdict: {name for name, finding in found.items() if finding.verdict == verdict}
        for verdict in ("holds", "does not hold", "undecided")
    }
    assert by_verdict["holds"] >= HOLD, said
    assert by_verdict["does not hold"] >= DO_NOT_HOLD, said
    assert by_verdict["undecided"] >= NEED_MORE_TRIALS, said
    crashes = [found[name] for name in sorted(FELT_UNTIL_WITHDRAWN)]
    soon = any(one.figures["withdrawn_ms"] < 3 * SLACK_MS for one in crashes)
    assert soon or "does not hold" in {one.verdict for one in crashes}, said
    others = {"same-backend-first"} | FELT_UNTIL_WITHDRAWN
    assert set(found) == HOLD | DO_NOT_HOLD | NEED_MORE_TRIALS | others


def test_only_some_claims_where_the_proxy_is_a_process(tmp_path: Path) -> None:
    """A trial for each part: its own rules are traced, and it is stopped."""
    run = conducted("claims", tmp_path, "proxy=userspace", "claims=edges,proxy-path")
    found = {finding.name: finding for finding in findings(run)}
    assert found["proxy-not-in-path"].verdict == "does not hold"
    assert "0 of " in found["proxy-not-in-path"].answer
    assert found["node-port-everywhere"].verdict == "holds"
    assert "KUBE-NODEPORT-CONTAINER" in found["node-port-by-cluster-address"].answer
    assert len(found) == 5
