"""What is wrong with pods: environment, volumes, probes, placement."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.apiserver import schema

from .objects import VALID, changed, resource_of

_C = "spec/containers/0"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_LABELLED = {"labelSelector": {}, "topologyKey": "zone"}


def _env(**source: Any) -> list[Any]:
    return [{"name": "A", "valueFrom": source}]


def _node(*terms: Any) -> dict[str, Any]:
    return {"nodeAffinity": {_REQUIRED: {"nodeSelectorTerms": [*terms]}}}


def _expression(**more: Any) -> dict[str, Any]:
    return _node({"matchExpressions": [{"key": "zone", **more}]})


def _near(**more: Any) -> dict[str, Any]:
    return {"podAffinity": {_REQUIRED: [{**_LABELLED, **more}]}}


def _volume(**source: Any) -> list[Any]:
    return [VALID["Pod"]["spec"]["volumes"][0], {"name": "v", **source}]


def _spread(**more: Any) -> list[Any]:
    return [{"maxSkew": 1, "topologyKey": "a", "whenUnsatisfiable": "ScheduleAnyway", **more}]


_TERM = f"spec.affinity.nodeAffinity.{_REQUIRED}.nodeSelectorTerms"
_NEAR = f"spec.affinity.podAffinity.{_REQUIRED}[0]"
_VALUES = "must be specified when `operator` is 'In' or 'NotIn'"


@pytest.mark.parametrize(
    ("path", "value", "field", "said"),
    [
        # Environment
        (f"{_C}/env", [{"name": ""}], "spec.containers[0].env[0].name", "Required value"),
        (f"{_C}/env", [{"name": "A=B"}], "spec.containers[0].env[0].name", "other than '='"),
        (f"{_C}/env", _env(configMapKeyRef={"name": "a", "key": "b/c"}),
         "spec.containers[0].env[0].valueFrom.configMapKeyRef.key", "a valid config key must"),
        (f"{_C}/env", _env(secretKeyRef={"name": "a", "key": ""}),
         "spec.containers[0].env[0].valueFrom.secretKeyRef.key", "Required value"),
        (f"{_C}/env", _env(resourceFieldRef={"resource": "limits.disk"}),
         "spec.containers[0].env[0].valueFrom.resourceFieldRef.resource", "Unsupported value"),
        (f"{_C}/env", _env(fieldRef={"fieldPath": "metadata.labels['a b']"}),
         "spec.containers[0].env[0].valueFrom.fieldRef", "name part must consist of"),
        (f"{_C}/env", _env(fieldRef={"fieldPath": "metadata.labels['a']"}), "", ""),
        (f"{_C}/env", _env(fieldRef={"fieldPath": "spec.colour"}),
         "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath",
         "error converting fieldPath: field label not supported: spec.colour"),
        (f"{_C}/env", [{**_env(fieldRef={"fieldPath": "metadata.name"})[0], "value": "x"}],
         "spec.containers[0].env[0].valueFrom", "may not be specified when `value` is not empty"),
        (f"{_C}/env", _env(fieldRef={"fieldPath": "metadata.name"},
                           secretKeyRef={"name": "a", "key": "b"}),
         "spec.containers[0].env[0].valueFrom", "may not have more than one field specified"),
        (f"{_C}/envFrom", [{"configMapRef": {"name": "a"}}], "", ""),
        (f"{_C}/envFrom", [{}], "spec.containers[0].envFrom",
         "must specify one of: `configMapRef` or `secretRef`"),
        (f"{_C}/envFrom", [{"secretRef": {"name": ""}}],
         "spec.containers[0].envFrom[0].secretRef.name", "Required value"),
        # Volumes
        ("spec/volumes", _volume(secret={}), "spec.volumes[1].secret.secretName", "Required value"),
        ("spec/volumes", _volume(configMap={"name": "a", "defaultMode": 0o1000}),
         "spec.volumes[1].configMap.defaultMode", "must be a number between 0 and 0777 (octal)"),
        ("spec/volumes", _volume(configMap={"name": "a", "items": [{"key": "k", "path": "/k"}]}),
         "spec.volumes[1].configMap.items[0].path", "must be a relative path"),
        ("spec/volumes", _volume(hostPath={"path": "/a/../b"}), "spec.volumes[1].hostPath.path",
         "must not contain '..'"),
        ("spec/volumes", _volume(hostPath={"path": "/a", "type": "Pipe"}),
         "spec.volumes[1].hostPath.type", 'Unsupported value: "Pipe"'),
        ("spec/volumes", _volume(downwardAPI={"items": [{"path": "labels"}]}),
         "spec.volumes[1].downwardAPI.items[0]", "one of fieldRef and resourceFieldRef is required"),
        ("spec/volumes", _volume(downwardAPI={"items": [
            {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}), "", ""),
        ("spec/volumes", _volume(downwardAPI={"items": [
            {"path": "cpu", "resourceFieldRef": {"resource": "limits.cpu"}}]}),
         "spec.volumes[1].downwardAPI.items[0].resourceFieldRef.containerName", "Required value"),
        ("spec/volumes", _volume(projected={"sources": [{"configMap": {"name": "a"}}]}), "", ""),
        ("spec/volumes", _volume(projected={"sources": [{}]}),
         "spec.volumes[1].projected.sources[0]",
         "must specify exactly one volume projection type"),
        ("spec/volumes", _volume(projected={"sources": [{"secret": {"name": "a"}, "configMap": {}}]}),
         "spec.volumes[1].projected.sources[0].configMap", "more than 1 volume type"),
        ("spec/volumes", [*_volume(emptyDir={}), {"name": "v", "emptyDir": {}}],
         "spec.volumes[2].name", 'Duplicate value: "v"'),
        ("spec/volumes", [*_volume(emptyDir={}), {"name": "", "emptyDir": {}}],
         "spec.volumes[2].name", "Required value"),
        (f"{_C}/volumeMounts", [{"name": "settings", "mountPath": "/a"}] * 2,
         "spec.containers[0].volumeMounts[1].mountPath", "must be unique"),
        (f"{_C}/volumeMounts", [{"name": "settings", "mountPath": "/a", "subPath": "a",
                                 "subPathExpr": "b"}],
         "spec.containers[0].volumeMounts[0].subPathExpr", "mutually exclusive"),
        (f"{_C}/volumeMounts", [{"name": "settings", "mountPath": "/a", "subPath": "../a"}],
         "spec.containers[0].volumeMounts.subPath", "must not contain '..'"),
        # Probes and hooks
        (f"{_C}/livenessProbe", {"exec": {}}, "spec.containers[0].livenessProbe.exec.command",
         "Required value"),
        (f"{_C}/livenessProbe", {"tcpSocket": {"port": 0}},
         "spec.containers[0].livenessProbe.tcpSocket.port", "must be between 1 and 65535"),
        (f"{_C}/livenessProbe", {"grpc": {"port": 70000}},
         "spec.containers[0].livenessProbe.grpc.port", "must be between 1 and 65535"),
        (f"{_C}/livenessProbe", {"tcpSocket": {"port": 1}, "exec": {"command": ["a"]}},
         "spec.containers[0].livenessProbe.tcpSocket", "may not specify more than 1 handler type"),
        (f"{_C}/livenessProbe", {"httpGet": {"port": 1, "scheme": "FTP"}},
         "spec.containers[0].livenessProbe.httpGet.scheme", 'Unsupported value: "FTP"'),
        (f"{_C}/livenessProbe", {"httpGet": {"port": 1, "httpHeaders": [
            {"name": "a b", "value": ""}]}},
         "spec.containers[0].livenessProbe.httpGet.httpHeaders", "a valid HTTP header must"),
        (f"{_C}/readinessProbe/terminationGracePeriodSeconds", 5,
         "spec.containers[0].readinessProbe.terminationGracePeriodSeconds",
         "must not be set for readinessProbes"),
        (f"{_C}/lifecycle", {"preStop": {"sleep": {"seconds": 31}}},
         "spec.containers[0].lifecycle.preStop.sleep",
         "must be non-negative and less than terminationGracePeriodSeconds (30)"),
        (f"{_C}/lifecycle", {"preStop": {"sleep": {"seconds": 30}}}, "", ""),
        # Resources and users
        (f"{_C}/resources", {"limits": {"cpu": "-1"}}, "spec.containers[0].resources.limits[cpu]",
         "must be greater than or equal to 0"),
        (f"{_C}/resources", {"limits": {"disk": "1"}}, "spec.containers[0].resources.limits",
         "must be a standard resource for containers"),
        (f"{_C}/resources", {"limits": {"example.com/gpu": "1"}}, "", ""),
        (f"{_C}/securityContext", {"runAsUser": -1}, "spec.containers[0].securityContext.runAsUser",
         "must be between 0 and 4294967295, inclusive"),
        (f"{_C}/ports", [{"containerPort": 1, "hostPort": 5}, {"containerPort": 2, "hostPort": 5}],
         "spec.containers[0].ports[1].hostPort", 'Duplicate value: "TCP//5"'),
        ("spec/initContainers/0/restartPolicy", "Sometimes", "spec.initContainers[0].restartPolicy",
         'Unsupported value: "Sometimes"'),
        # Placement
        ("spec/affinity", _node(), _TERM, "must have at least one node selector term"),
        ("spec/affinity", _expression(operator="In"), f"{_TERM}[0].matchExpressions[0].values",
         _VALUES),
        ("spec/affinity", _expression(operator="Exists", values=["a"]),
         f"{_TERM}[0].matchExpressions[0].values", "may not be specified when `operator` is"),
        ("spec/affinity", _expression(operator="Gt", values=["1", "2"]),
         f"{_TERM}[0].matchExpressions[0].values", "must be specified single value"),
        ("spec/affinity", _expression(operator="Near"), f"{_TERM}[0].matchExpressions[0].operator",
         'Invalid value: "Near": not a valid selector operator'),
        ("spec/affinity", _node({"matchFields": [
            {"key": "metadata.uid", "operator": "In", "values": ["a"]}]}),
         f"{_TERM}[0].matchFields[0].key", "not a valid field selector key"),
        ("spec/affinity", {"nodeAffinity": {_PREFERRED: [{"weight": 101, "preference": {}}]}},
         f"spec.affinity.nodeAffinity.{_PREFERRED}[0].weight", "must be in the range 1-100"),
        ("spec/affinity", _near(topologyKey=""), f"{_NEAR}.topologyKey", "can not be empty"),
        ("spec/affinity", _near(namespaces=["a.b"]), f"{_NEAR}.namespace", "must not contain dots"),
        ("spec/affinity", _near(labelSelector={"matchExpressions": [
            {"key": "a", "operator": "NotIn"}]}),
         f"{_NEAR}.labelSelector.matchExpressions[0].values", _VALUES),
        ("spec/affinity", _near(labelSelector={"matchExpressions": [
            {"key": "a", "operator": "Exists", "values": ["b"]}]}),
         f"{_NEAR}.labelSelector.matchExpressions[0].values", "may not be specified"),
        ("spec/tolerations", [{"key": "a", "operator": "Exists", "value": "b"}],
         "spec.tolerations[0].operator", "value must be empty when `operator` is 'Exists'"),
        ("spec/tolerations", [{"key": "a", "operator": "Near"}], "spec.tolerations[0].operator",
         'supported values: "Equal", "Exists"'),
        ("spec/tolerations", [{"key": "a", "value": "b", "effect": "NoSchedule",
                               "tolerationSeconds": 1}],
         "spec.tolerations[0].effect", "effect must be 'NoExecute' when `tolerationSeconds` is set"),
        ("spec/tolerations", [{"key": "a", "value": "-", "effect": "No"}],
         "spec.tolerations[0].effect", 'Unsupported value: "No"'),
        ("spec/topologySpreadConstraints", _spread(whenUnsatisfiable="Never"),
         "spec.topologySpreadConstraints[0].whenUnsatisfiable", 'Unsupported value: "Never"'),
        ("spec/topologySpreadConstraints", _spread(minDomains=2),
         "spec.topologySpreadConstraints[0].minDomains", "can only use minDomains if"),
        ("spec/topologySpreadConstraints", _spread() * 2,
         "spec.topologySpreadConstraints[1].{topologyKey, whenUnsatisfiable}",
         'Duplicate value: "{a, ScheduleAnyway}"'),
        # Names
        ("spec/hostname", "a.b", "spec.hostname", "must not contain dots"),
        ("spec/serviceAccountName", "A", "spec.serviceAccountName", "a lowercase RFC 1123 subdomain"),
        ("spec/hostAliases", [{"ip": "10.0.0.1", "hostnames": ["a_b"]}],
         "spec.hostAliases[0].hostnames[0]", "a lowercase RFC 1123 subdomain"),
        ("spec/dnsConfig", {"nameservers": ["10.0.0.1"] * 4}, "spec.dnsConfig.nameservers",
         "must not have more than 3 nameservers"),
        ("spec/dnsConfig", {"searches": ["a b"]}, "spec.dnsConfig.searches[0]", "RFC 1123"),
        ("spec/dnsConfig", {"searches": ["_sip._udp.example.com.", "."]}, "", ""),
        ("spec/dnsConfig", {"options": [{"value": "1"}]}, "spec.dnsConfig.options[0]",
         "must not be empty"),
        ("spec/readinessGates", [{"conditionType": "a b"}], "spec.readinessGates[0].conditionType",
         "name part must consist of"),
        ("spec/activeDeadlineSeconds", 0, "spec.activeDeadlineSeconds",
         "must be between 1 and 2147483647, inclusive"),
    ],
)  # fmt: skip
def test_mistake(path: str, value: Any, field: str, said: str) -> None:
    manifest = changed("Pod", path, value)
    causes, _ = schema.validate(manifest, resource_of(manifest), "Strict")
    found = [(cause.field, cause.message) for cause in causes]
    assert any(field == one and said in message for one, message in found) if field else not found
