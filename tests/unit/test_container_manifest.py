"""What a pod's manifest says of its containers and volumes: read, written, and what is wrong with it told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.model.containers import (
    DNSConfig,
    EnvFromSource,
    EnvVar,
    HostAlias,
    Lifecycle,
    ResourceRequirements,
    SecurityContext,
)
from testbed.model.fields import Fields, Mistake
from testbed.model.manifest import ManifestError, from_client, from_manifest, to_manifest
from testbed.model.objects.pods import Pod
from testbed.model.spelled import json_of, many
from testbed.model.volumes import Volume, VolumeMount

SPELLED = (
    EnvVar, EnvFromSource, Lifecycle, SecurityContext, VolumeMount, Volume, HostAlias, DNSConfig,
)  # fmt: skip


@pytest.mark.parametrize("kind", SPELLED)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_nothing_is_lost(kind: type[Any], data: st.DataObject) -> None:
    value = data.draw(st.from_type(kind))
    mistakes: list[Mistake] = []
    read = many(Fields({"them": json_of((value,))}, (), mistakes), "them", kind)
    assert (read, mistakes) == ((value,), [])


def manifest(**spec: Any) -> dict[str, Any]:
    container = {"name": "c", "image": "busybox", **spec.pop("container", {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {"containers": [container], **spec},
    }


PROGRAM: dict[str, Any] = {
    "command": ["sh", "-c"],
    "args": ["echo $(WHO)"],
    "workingDir": "/data",
    "env": [
        {
            "name": "WHO",
            "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}},
        },
        {"name": "NOBODY"},
        {"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "mode"}}},
    ],
    "envFrom": [{"prefix": "X_", "secretRef": {"name": "s", "optional": True}}],
    "volumeMounts": [
        {"name": "data", "mountPath": "/data"},
        {"name": "data", "mountPath": "/other", "subPath": "in/it", "readOnly": True},
    ],
    "startupProbe": {"exec": {"command": ["true"]}, "periodSeconds": 1},
    "livenessProbe": {"grpc": {"port": 9000}},
    "readinessProbe": {
        "httpGet": {"port": 80, "httpHeaders": [{"name": "X", "value": "y"}], "scheme": "HTTPS"}
    },
    "lifecycle": {
        "postStart": {"exec": {"command": ["true"]}},
        "preStop": {"sleep": {"seconds": 2}},
    },
    "securityContext": {"runAsUser": 1000, "allowPrivilegeEscalation": False},
    "resources": {"limits": {"cpu": "250m"}, "claims": []},
    "ports": [{"containerPort": 80, "hostPort": 8080, "hostIP": "127.0.0.1"}],
    "imagePullPolicy": "Always",
    "tty": True,
}
POD: dict[str, Any] = {
    "initContainers": [{"name": "first", "image": "busybox", "restartPolicy": "Always"}],
    "volumes": [
        {"name": "data", "emptyDir": {}},
        {"name": "claim", "persistentVolumeClaim": {"claimName": "x"}},
        {"name": "all", "projected": {"sources": [{"configMap": {"name": "a"}}]}},
    ],
    "hostNetwork": True,
    "hostname": "h",
    "subdomain": "s",
    "hostAliases": [{"ip": "1.2.3.4", "hostnames": ["a", "b"]}],
    "dnsPolicy": "None",
    "dnsConfig": {"nameservers": ["1.1.1.1"], "options": [{"name": "ndots", "value": "2"}]},
    "enableServiceLinks": False,
    "activeDeadlineSeconds": 7,
    "readinessGates": [{"conditionType": "example.org/ok"}],
    "securityContext": {"fsGroup": 7, "seccompProfile": {"type": "RuntimeDefault"}},
}


def _contains(whole: Any, part: Any) -> bool:
    if isinstance(part, dict):
        return all(key in whole and _contains(whole[key], value) for key, value in part.items())
    if isinstance(part, list):
        return len(whole) == len(part) and all(map(_contains, whole, part))
    return bool(whole == part)


def test_a_client_gets_back_all_that_it_said() -> None:
    said = manifest(container=PROGRAM, **POD)
    assert _contains(to_manifest(from_client(said)), said)


def test_a_part_that_means_nothing_here_is_no_part() -> None:
    pod = from_client(manifest(container={"securityContext": {"privileged": True}}))
    assert isinstance(pod, Pod)
    assert pod.spec.containers[0].security_context is None
    assert pod.spec.containers[0].resources is None
    read = from_client(manifest(container={"resources": {"limits": {"cpu": 1}}}))
    assert isinstance(read, Pod)
    assert read.spec.containers[0].resources == ResourceRequirements({"cpu": 1})


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"container": {"env": [{"name": "A", "value": 3}]}},
         "spec.containers[0].env[0].value: must be a text, not the number 3 (put it in quotes)"),
        ({"container": {"env": [{"value": "x"}]}}, "spec.containers[0].env[0]: name is missing"),
        ({"container": {"lifecycle": {"postStart": {"run": 1}}}},
         "spec.containers[0].lifecycle.postStart.run: unknown key 'run'"),
        ({"container": {"readinessProbe": {"exec": {"command": ["a"]}, "grpc": {"port": 1}}}},
         "needs one of httpGet, tcpSocket, exec and grpc"),
        ({"volumes": [{"name": "v", "nfs": {"server": "s"}}]}, "spec.volumes[0].nfs: unknown key"),
        ({"initContainers": [{"name": "a", "image": "i"}, {"name": "a", "image": "i"}]},
         "spec.initContainers[1].name: a second container is named 'a'"),
        ({"dnsPolicy": "None"}, "spec.dnsPolicy: None takes at least one of dnsConfig.nameservers"),
        ({"dnsConfig": {"nameservers": ["a.b"]}}, "'a.b' is not an IP address"),
        ({"dnsConfig": {"nameservers": ["1.1.1.1"] * 4}}, "nameservers: must not be more than 3"),
        ({"dnsConfig": {"searches": ["a"] * 33}}, "searches: must not be more than 32"),
        ({"dnsConfig": {"option": []}}, "spec.dnsConfig.option: unknown key 'option' (did you mean options?)"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_topology_is_told_with_its_place(spec: dict[str, Any], said: str) -> None:
    with pytest.raises(ManifestError) as caught:
        from_manifest(manifest(**spec))
    assert said in str(caught.value)
