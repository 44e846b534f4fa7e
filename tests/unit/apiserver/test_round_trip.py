"""Whatever valid object a client makes is given back with all that was said; written again it is the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.apiserver.clients import Client, Json

NAME = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
LABELS = st.dictionaries(NAME, NAME, max_size=3)
PORT = st.integers(1, 65535)
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    """Any of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


METADATA = some(labels=LABELS, annotations=st.dictionaries(NAME, TEXT, max_size=2))
HTTP_GET = some(
    httpGet=st.fixed_dictionaries({"port": PORT}, optional={"path": st.just("/ok")})
).filter(bool)
PROBE = st.builds(
    lambda action, more: {**action, **more},
    HTTP_GET | st.just({"exec": {"command": ["true"]}}) | st.just({"tcpSocket": {"port": 80}}),
    some(periodSeconds=st.integers(1, 9), initialDelaySeconds=st.integers(0, 9)),
)
ENV = st.lists(
    st.builds(lambda name, value: {"name": name, "value": value}, NAME, TEXT.filter(bool)),
    unique_by=lambda one: one["name"],
    max_size=3,
)
CONTAINER = st.fixed_dictionaries(
    {"image": NAME},
    optional={
        "command": st.lists(TEXT.filter(bool), min_size=1, max_size=2),
        "args": st.lists(TEXT.filter(bool), min_size=1, max_size=2),
        "env": ENV,
        "ports": st.lists(
            st.builds(
                lambda port, protocol: {"containerPort": port, "protocol": protocol},
                PORT,
                st.sampled_from(["TCP", "UDP"]),
            ),
            unique_by=lambda one: (one["containerPort"], one["protocol"]),
            max_size=2,
        ),
        "readinessProbe": PROBE,
        "livenessProbe": PROBE,
        "workingDir": st.just("/srv"),
        "imagePullPolicy": st.sampled_from(["Always", "Never"]),
        "resources": some(requests=st.just({"cpu": "100m"}), limits=st.just({"memory": "1Gi"})),
        "securityContext": some(runAsUser=st.integers(0, 9), privileged=st.booleans()),
    },
)
POD_SPEC = st.builds(
    lambda containers, more: {
        "containers": [{"name": f"c{index}", **one} for index, one in enumerate(containers)],
        **more,
    },
    st.lists(CONTAINER, min_size=1, max_size=3),
    some(
        nodeSelector=LABELS,
        terminationGracePeriodSeconds=st.integers(0, 60),
        dnsPolicy=st.sampled_from(["Default", "ClusterFirst"]),
        hostname=NAME,
        enableServiceLinks=st.booleans(),
        volumes=st.lists(
            st.builds(lambda name: {"name": name, "emptyDir": {"medium": "Memory"}}, NAME),
            unique_by=lambda one: one["name"],
            max_size=2,
        ),
        tolerations=st.just([{"key": "a", "operator": "Exists", "effect": "NoSchedule"}]),
        hostAliases=st.just([{"ip": "192.0.2.1", "hostnames": ["a", "b"]}]),
    ),
)
SERVICE_PORT = st.fixed_dictionaries(
    {"port": PORT},
    optional={
        "targetPort": PORT | st.just("http"),
        "protocol": st.sampled_from(["TCP", "UDP"]),
        "appProtocol": st.just("h2c"),
    },
)
SERVICE_SPEC = st.builds(
    lambda ports, more: {
        "ports": [{"name": f"p{index}", **one} for index, one in enumerate(ports)],
        **more,
    },
    st.lists(SERVICE_PORT, min_size=1, max_size=3, unique_by=lambda one: one["port"]),
    some(
        selector=LABELS,
        type=st.sampled_from(["ClusterIP", "NodePort", "LoadBalancer"]),
        sessionAffinity=st.sampled_from(["None", "ClientIP"]),
        publishNotReadyAddresses=st.booleans(),
        internalTrafficPolicy=st.sampled_from(["Cluster", "Local"]),
        externalIPs=st.just(["203.0.113.1"]),
    ),
)
DEPLOYMENT_SPEC = st.builds(
    lambda labels, pod, more: {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {**labels, "app": "web"}}, "spec": pod},
        **more,
    },
    *(LABELS, POD_SPEC),
    some(
        replicas=st.integers(0, 5),
        paused=st.booleans(),
        minReadySeconds=st.integers(0, 5),
        revisionHistoryLimit=st.integers(0, 5),
        strategy=st.just({"type": "Recreate"})
        | st.just(
            {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2, "maxUnavailable": "10%"}}
        ),
    ),
)
BODIES: Mapping[str, st.SearchStrategy[Json]] = {
    "Pod": POD_SPEC.map(lambda spec: {"spec": spec}),
    "Service": SERVICE_SPEC.map(lambda spec: {"spec": spec}),
    "Deployment": DEPLOYMENT_SPEC.map(lambda spec: {"spec": spec}),
    "Secret": some(data=st.just({"a": "Yg=="}), type=st.just("example.com/a")),
    "EndpointSlice": st.just(
        {
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["192.0.2.1"], "conditions": {"ready": False}}],
            "ports": [{"name": "", "port": 80, "protocol": "TCP", "appProtocol": "h2c"}],
        }
    ),
    "Ingress": st.just(
        {"spec": {"defaultBackend": {"service": {"name": "a", "port": {"number": 1}}}}}
    ),
}


def lost(said: Any, given: Any, path: str = "") -> list[str]:
    """Where something that was said is not given back; what says nothing need not be."""
    if isinstance(said, dict):
        given = given if isinstance(given, dict) else {}
        return [
            place
            for key, one in said.items()
            for place in lost(one, given.get(key), f"{path}.{key}")
        ]
    if isinstance(said, list) and said:
        found = given if isinstance(given, list) else []
        if len(found) < len(said):
            return [path]
        return [
            place
            for index, one in enumerate(said)
            for place in lost(one, found[index], f"{path}[{index}]")
        ]
    nothing = not said and not given
    return [] if nothing or said == given else [f"{path}: {said!r} is {given!r}"]


@pytest.mark.parametrize("kind", BODIES)
def test_what_is_said_is_given_back(kind: str) -> None:
    @given(METADATA, BODIES[kind])
    @settings(max_examples=60, deadline=None)
    def holds(metadata: Json, body: Json) -> None:
        client = Client()
        made = client.create(kind, "one", metadata=metadata, **body)
        assert lost({"metadata": metadata, **body}, made) == []
        assert client.update(made) == made
        assert client.patch(kind, "one", {}, "strategic-merge-patch+json").body == made

    holds()
