"""What a pod asks for, as plug-ins with the capability are told."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.cni.links import capabilities
from testbed.errors import UsageError
from testbed.model.containers import Container, ContainerPort
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.pods import Pod, PodSpec

ANNOTATIONS = "io.kubernetes.cri.pod-annotations"


def pod(annotations: dict[str, str], *ports: ContainerPort) -> Pod:
    meta = ObjectMeta("web-0", "default", uid="u", annotations=annotations)
    return Pod(meta, PodSpec((Container("web", "any", ports=ports),)))


@pytest.mark.parametrize(
    ("annotations", "ports", "want"),
    [
        ({}, (), {}),
        ({}, (ContainerPort(8080),), {}),
        ({}, (ContainerPort(53, protocol="UDP", host_port=5353, host_ip="192.0.2.1"),),
         {"portMappings": [{"hostPort": 5353, "containerPort": 53, "protocol": "udp",
                            "hostIP": "192.0.2.1"}]}),
        ({"kubernetes.io/egress-bandwidth": "10M"}, (),
         {"bandwidth": {"egressRate": 10_000_000, "egressBurst": 2**31 - 1}}),
        ({"testbed/mac": "02:00:00:00:00:07"}, (), {"mac": "02:00:00:00:00:07"}),
        ({"testbed/ips": "198.51.100.7, 2001:db8::7"}, (), {"ips": ["198.51.100.7", "2001:db8::7"]}),
    ],
)  # fmt: skip
def test_only_what_a_pod_asks_for(
    annotations: dict[str, str], ports: tuple[ContainerPort, ...], want: dict[str, Any]
) -> None:
    assert capabilities(pod(annotations, *ports)) == {ANNOTATIONS: annotations, **want}


@pytest.mark.parametrize("written", ["fast", "10Q", "1.2.3"])
def test_a_rate_that_is_none(written: str) -> None:
    with pytest.raises(UsageError, match="ingress-bandwidth"):
        capabilities(pod({"kubernetes.io/ingress-bandwidth": written}))
