"""Ingress, as kubernetes.io and tutorials describe it: who is asked, by whom, and over what."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from functools import partial
from typing import Any

from testbed.claims.claim import Claim, Observation, Source
from testbed.claims.entries import Entry, dialled, ip_of, tables
from testbed.claims.judging import always, saw
from testbed.claims.load_balancers import outside_address
from testbed.claims.stage import OUTSIDE, POD_PORT, Stage
from testbed.events import Event
from testbed.experiment.trial_lab import is_write
from testbed.model.ingress_objects import NAME, NAMESPACE

HTTP, HTTPS = 80, 443
TIMES = 2
"""How often each path is asked for."""
KEPT = 12
"""Requests on one connection: three backends in turn are each asked four times."""
PATIENCE_S = 60.0
_ANSWER_S, _SILENCE_S = 20.0, 0.5
"""How long is waited where somebody should answer, and where nobody should."""

RULES = (
    ("shop.test", "/", "web"),
    ("shop.test", "/other", "web"),
    ("shop.test", "/carts", "web"),
    ("shop.test", "/Cart", "web"),
    ("shop.test", "/cart", "lone"),
    ("shop.test", "/cart?x=1", "lone"),
    ("shop.test", "/cart/x", "lone"),
    ("shop.test", "/cart/paidnow", "lone"),
    ("shop.test", "/cart/", "leaving"),
    ("shop.test", "/cart/paid/now", "leaving"),
    ("x.shop.test", "/cart", "lone"),
    ("www.shop.test", "/only/x", "web"),
)
"""Host, path, and whose pods answer, by the rules of topologies/claims.yaml."""
NO_RULE = (
    ("www.shop.test", "/"),
    ("x.y.shop.test", "/"),
    ("nobody.test", "/cart"),
)
DEFAULT = "leaving"
"""The service of the default backend."""
PLAIN, SECURE, LEAVING, ORPHAN = "plain.test", "secure.test", "leaving.test", "orphan.test"
"""Hosts with one rule each, for `web`, `web`, `leaving` and, of a class that nobody serves, `lone`."""

Row = Mapping[str, Any]
Rows = Sequence[Row]


def scene(stage: Stage) -> Generator[None, None, Mapping[str, Observation]]:
    """Everything asked for by the machine outside; then a pod leaves its service."""
    door, service = _door(stage), outside_address(stage, "outward")
    bare = [(door, HTTP, "tcp"), (door, HTTPS, "tcp"), (door, POD_PORT, "tcp"), (door, HTTP, "udp")]
    wanted = {
        "rules": [_get(door, host, path) for host, path, _ in RULES],
        "no rule": [_get(door, host, path) for host, path in NO_RULE],
        "orphan": [_get(door, ORPHAN, "/")],
        "kept": [_get(at, PLAIN, "/hostname", times=KEPT) for at in (door, service)],
        "peer": [_get(door, PLAIN, "/clientip")],
        "forwarded": [_get(door, PLAIN, "/header?key=X-Forwarded-For")],
        "secure": _over_tls(door, stage.lab.ca_certificate()),
        "leaving": [_get(door, LEAVING, "/hostname", times=KEPT)],
    }
    began = stage.begin(
        OUTSIDE,
        get=[one for several in wanted.values() for one in several],
        dial=[
            {"host": service, "port": HTTP, "timeout_s": _ANSWER_S},
            *(
                {"host": host, "port": port, "protocol": protocol, "timeout_s": _SILENCE_S}
                for host, port, protocol in bare
            ),
        ],
    )
    yield
    answers = began.answers()
    found = _sorted(answers["get"], wanted)
    known = tables(stage)
    return {
        "ingress-host-and-path": routed(found["rules"]),
        "ingress-default-backend": _of(found["no rule"], DEFAULT),
        "ingress-needs-controller": without(found["orphan"], "lone"),
        "ingress-http-only": silent(answers["dial"]),
        "ingress-ends-tls": verified(found["secure"]),
        "ingress-balances-requests": spread(
            [pod.name for pod in stage.backends("web")], *found["kept"]
        ),
        "ingress-by-cluster-address": by_address(
            [entry for table in known.values() for entry in table],
            _controllers(stage),
            f"{stage.address('web')}:{HTTP}",
            {f"{pod.ip}:{POD_PORT}" for pod in stage.backends("web")},
        ),
        "ingress-forwarded-for": told(found["forwarded"], found["peer"], _controllers(stage)),
        "ingress-endpoint-leaves": _left(stage, door, found["leaving"]),
    }


def _get(host: str, name: str, path: str, times: int = TIMES, **more: str) -> dict[str, Any]:
    """What the probe asks for, `times` on one connection."""
    port = HTTPS if "ca" in more else HTTP
    target = {"host": host, "port": port, "name": name, "path": path, "times": times, **more}
    return {**target, "timeout_s": _ANSWER_S}


def _over_tls(door: str, ca: str) -> list[dict[str, Any]]:
    """By a name that the Secret's certificate has, and by one that it has not."""
    return [
        _get(door, SECURE, "/hostname", ca=ca),
        _get(door, SECURE, "/header?key=X-Forwarded-Proto", ca=ca),
        _get(door, PLAIN, "/hostname", times=1, ca=ca),
    ]


def _door(stage: Stage) -> str:
    """The address of the controller's service; "" where it has none."""
    for service in stage.view["services"]:
        if (service["namespace"], service["name"]) == (NAMESPACE, NAME):
            return str(next(iter(service["loadBalancerIPs"]), ""))
    return ""


def _controllers(stage: Stage) -> set[str]:
    prefix = f"{NAMESPACE}/"
    return {pod.ip for name, pod in stage.pods.items() if name.startswith(prefix)}


def _sorted(answers: Rows, wanted: Mapping[str, Sequence[Any]]) -> dict[str, list[dict[str, Any]]]:
    """What was got, by what it was asked for."""
    rest = iter(answers)
    return {name: [dict(next(rest)) for _ in several] for name, several in wanted.items()}


def _flat(rows: Rows) -> list[dict[str, Any]]:
    """Each request by itself: {name, path, status, body, error}."""
    return [{**row, **answer} for row in rows for answer in row["answers"]]


def _shown(row: Row) -> str:
    return f"{row['name']}{row['path']} gave {row['error'] or (row['status'], row['body'])}"


def _answers_to(row: Row, workload: str) -> bool:
    pod: str = row["body"]
    return row["status"] == 200 and pod.rpartition("-")[0] == workload


def _judged(rows: Rows, right: Sequence[bool], **figures: Any) -> Observation:
    """One attempt per row, and in words the first that was otherwise."""
    wrong = [_shown(row) for row, good in zip(rows, right, strict=True) if not good]
    return saw(len(rows), len(rows) - len(wrong), *wrong[:1], **figures)


def routed(rows: Rows) -> Observation:
    whose = {(host, path): workload for host, path, workload in RULES}
    asked = _flat(rows)
    return _judged(asked, [_answers_to(row, whose[row["name"], row["path"]]) for row in asked])


def _of(rows: Rows, workload: str) -> Observation:
    asked = _flat(rows)
    return _judged(asked, [_answers_to(row, workload) for row in asked])


def without(rows: Rows, workload: str) -> Observation:
    """Whether somebody answers, but not that workload."""
    asked = _flat(rows)
    return _judged(asked, [row["status"] > 0 and not _answers_to(row, workload) for row in asked])


def silent(rows: Rows) -> Observation:
    """Whether the service answers a line of text, which is no HTTP, and no pod does by the ingress."""
    service, *others = rows
    wrong = [] if service["who"] else [f"the service itself gave {service['error']}"]
    wrong += [f"{row['who']} answered at {dialled(row)}" for row in others if row["who"]]
    return saw(len(rows), len(rows) - len(wrong), *wrong[:1])


def verified(rows: Rows) -> Observation:
    """Whether the pods' plain port answers behind TLS, and only the name of the certificate is believed."""
    named, scheme, other = (_flat([row]) for row in rows)
    right = [
        *(_answers_to(row, "web") for row in named),
        *(row["body"] == "https" for row in scheme),
        *("verify" in row["error"] for row in other),
    ]
    return _judged([*named, *scheme, *other], right)


def spread(pods: Sequence[str], ingress: Row, service: Row) -> Observation:
    """Whether requests on one connection reach every pod by the ingress, and one pod by the service."""
    failed = [_shown(row) for row in _flat([ingress, service]) if row["status"] != 200]
    by_ingress, by_service = ([one["body"] for one in row["answers"]] for row in (ingress, service))
    wrong = [f"by the ingress {pod} got no request" for pod in pods if pod not in by_ingress]
    first = by_service[0]
    wrong += [f"by the service {who} answered after {first}" for who in by_service if who != first]
    tried = len(pods) + len(by_service)
    return saw(tried, max(0, tried - len(wrong) - len(failed)), *[*failed, *wrong][:1])


def by_address(
    entries: Sequence[Entry], controllers: set[str], service: str, pods: set[str]
) -> Observation:
    """Whether what controllers dialled is the service's address, by what the kernels know: every connection
    from one of them to it, or to one of its pods.
    """
    found = {
        (entry.src, entry.dst)
        for entry in entries
        if ip_of(entry.src) in controllers and entry.dst in {service, *pods}
    }
    past = sorted(dst for _, dst in found if dst != service)
    exception = f"the controller dialled {past[0]}, not {service}" if past else ""
    return saw(len(found), len(found) - len(past), exception if found else "no kernel knew of one")


def told(forwarded: Rows, peers: Rows, controllers: set[str]) -> Observation:
    """Whether the header has the client's address, and the connection comes from a controller."""
    told, seen = _flat(forwarded), _flat(peers)
    mine = [row["body"] == ip_of(row["own"]) for row in told]
    theirs = [ip_of(row["body"]) in controllers for row in seen]
    wrong = [
        f"X-Forwarded-For was {row['body'] or row['error']}, the client {ip_of(row['own'])}"
        for row, good in zip(told, mine, strict=True)
        if not good
    ]
    wrong += [
        f"the pod's peer was {row['body'] or row['error']}"
        for row, good in zip(seen, theirs, strict=True)
        if not good
    ]
    tried = len(told) + len(seen)
    return saw(tried, tried - len(wrong), *wrong[:1])


def _left(stage: Stage, door: str, before: Rows) -> Observation:
    """A pod that had answered is relabelled out of its service; when the controller has heard, all is asked
    for again.
    """
    gone = stage.chance.choice(stage.backends("leaving"))
    since_ns = stage.lab.now_ns()
    stage.lab.label(gone.name, behind="no")
    is_meant = partial(is_write, kind="endpoint-not-ready", ip=gone.ip, since_ns=since_ns)
    write = stage.lab.wait_event(is_meant, PATIENCE_S)
    synced = stage.lab.wait_event(partial(_has, write=write), PATIENCE_S)
    after = stage.ask(OUTSIDE, get=[_get(door, LEAVING, "/hostname", times=KEPT)])["get"]
    asked = _flat(after)
    right = [_answers_to(row, "leaving") and row["body"] != gone.name for row in asked]
    known = gone.name in {row["body"] for row in _flat(before)}
    if not known:
        return saw(0, 0, f"{gone.name} had not answered before it left")
    took_ms = (synced.t_ns - write.t_ns) / 1e6
    remark = f"The controller had it {took_ms:.0f} ms after the write."
    return _judged(asked, right, remark=remark, window_ms=took_ms)


def _has(event: Event, write: Event) -> bool:
    """Whether the event says that a controller's HAProxy holds a write."""
    is_sync = (event.source, event.kind) == ("ingress", "synced")
    return is_sync and event.resource_version >= write.resource_version


def _said(name: str, says: str, holds_if: str, source: Source = "documentation") -> Claim:
    return Claim(name, says, source, holds_if, scene, always)


CLAIMS = (
    _said(
        "ingress-host-and-path",
        "An Ingress routes by host and path: the longest path wins, Exact before Prefix.",
        f"each of {len(RULES)} hosts and paths is answered by a pod of its rule's service",
    ),
    _said(
        "ingress-default-backend",
        "Requests that match no rule go to the default backend.",
        "a pod of the default backend answers hosts without a rule, and paths without one",
    ),
    _said(
        "ingress-needs-controller",
        "An Ingress without a controller has no effect.",
        "where nobody serves its class, no pod of its service answers to its host",
    ),
    _said(
        "ingress-http-only",
        "An Ingress exposes HTTP and HTTPS, no other protocol and no other port.",
        "a line of text, by TCP or UDP, is answered by the service's address and not by the ingress",
    ),
    _said(
        "ingress-ends-tls",
        "TLS ends at the Ingress, with the Secret's certificate; pods get plain HTTP.",
        "a client verifies the certificate for its name, for no other, and a pod's plain port answers",
    ),
    _said(
        "ingress-balances-requests",
        "An Ingress balances requests, a service connections.",
        f"of {KEPT} requests on a kept connection every pod gets some by the ingress, one all by the service",
        "tutorial",
    ),
    _said(
        "ingress-by-cluster-address",
        "An Ingress sends requests to the service, which picks the pod.",
        "what the controller dials is the cluster address, by what the kernels know",
        "tutorial",
    ),
    _said(
        "ingress-forwarded-for",
        "Behind an Ingress the client's address is in X-Forwarded-For; the controller is who calls.",
        "the header is the address of the client outside, the pod's peer one of the controller",
        "answer",
    ),
    _said(
        "ingress-endpoint-leaves",
        "A pod that leaves its service gets no more requests by the Ingress.",
        "once the controller knows, none of the next requests goes to it, and none fails",
        "tutorial",
    ),
)
