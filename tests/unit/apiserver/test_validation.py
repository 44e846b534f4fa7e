"""What is wrong with objects beyond their types: the fields and the words are Kubernetes' own."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.apiserver import schema
from testbed.apiserver.failure import Cause
from testbed.apiserver.resources import RESOURCES
from testbed.apiserver.validation.kinds import RULES

from .objects import VALID, changed, resource_of

_CONTAINER = "spec/containers/0"
_TEMPLATE = "spec/template/spec"
_PATH = "spec/rules/0/http/paths/0"
_RANGE = "must be between 1 and 65535, inclusive"
_IMMUTABLE = "field is immutable"


def _causes(manifest: dict[str, Any], old: dict[str, Any] | None = None) -> tuple[Cause, ...]:
    return schema.validate(manifest, resource_of(manifest), "Strict", old=old)[0]


@pytest.mark.parametrize("kind", VALID)
def test_an_ordinary_object_has_no_mistakes(kind: str) -> None:
    assert _causes(VALID[kind]) == ()


@pytest.mark.parametrize("kind", VALID)
def test_an_object_may_replace_itself(kind: str) -> None:
    assert _causes(VALID[kind], VALID[kind]) == ()


@pytest.mark.parametrize("kind", VALID)
def test_defaults_of_defaults_are_the_same(kind: str) -> None:
    once = schema.defaulted(VALID[kind])
    assert schema.defaulted(once) == once
    assert schema.pruned(once, resource_of(once), "Strict") == (once, ())


def _row(kind: str, path: str, value: Any, field: str, said: str) -> Any:
    return pytest.param(
        kind, path, value, field, said, id=f"{kind} {path.replace('/', '.')} {value!r:.30}"
    )


@pytest.mark.parametrize(
    ("kind", "path", "value", "field", "said"),
    [
        # Metadata
        _row("Pod", "metadata/name", None, "metadata.name",
             "Required value: name or generateName is required"),
        _row("Namespace", "metadata/name", "a.b", "metadata.name",
             'Invalid value: "a.b": must not contain dots'),
        _row("ConfigMap", "metadata/name", "x" * 254, "metadata.name",
             f'Invalid value: "{"x" * 254}": must be no more than 253 characters'),
        _row("Pod", "metadata/labels", {"app": "-"}, "metadata.labels",
             'Invalid value: "-": a valid label must be an empty string or consist of alphanumeric '
             "characters, '-', '_' or '.', and must start and end with an alphanumeric character "
             "(e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
             "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"),
        _row("Pod", "metadata/labels", {"/app": "a"}, "metadata.labels",
             'Invalid value: "/app": prefix part must be non-empty'),
        _row("Pod", "metadata/ownerReferences",
             [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": ""}],
             "metadata.ownerReferences.uid", 'Invalid value: "": must not be empty'),
        _row("Pod", "metadata/finalizers", ["orphan", "foregroundDeletion"], "metadata.finalizers",
             'Invalid value: ["orphan","foregroundDeletion"]: finalizer orphan and '
             "foregroundDeletion cannot be both set"),
        # Services
        _row("Service", "spec/ports/0/port", 70000, "spec.ports[0].port",
             f"Invalid value: 70000: {_RANGE}"),
        _row("Service", "spec/ports/0/targetPort", "a--b", "spec.ports[0].targetPort",
             'Invalid value: "a--b": must not contain consecutive hyphens'),
        _row("Service", "spec/ports/0/protocol", "ICMP", "spec.ports[0].protocol",
             'Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"'),
        _row("Service", "spec/ports/1", {"port": 81, "name": "b"}, "spec.ports[0].name",
             "Required value"),
        _row("Service", "spec/ports", [{"port": 80, "name": "a"}, {"port": 80, "name": "b"}],
             "spec.ports[1]", 'Duplicate value: {"protocol":"TCP","port":80}'),
        _row("Service", "spec/ports", [{"port": 80, "name": "a"}, {"port": 81, "name": "a"}],
             "spec.ports[1].name", 'Duplicate value: "a"'),
        _row("Service", "spec/ports", [], "spec.ports", "Required value"),
        _row("Service", "spec/ports/0/nodePort", 30000, "spec.ports[0].nodePort",
             "Forbidden: may not be used when `type` is 'ClusterIP'"),
        _row("Service", "spec/type", "Cluster", "spec.type",
             'Unsupported value: "Cluster": supported values: '
             '"ClusterIP", "ExternalName", "LoadBalancer", "NodePort"'),
        _row("Service", "spec/type", "ExternalName", "spec.externalName", "Required value"),
        _row("Service", "spec/clusterIP", "10.96.0.300", "spec.clusterIPs[0]",
             'Invalid value: "10.96.0.300": must be a valid IP address, '
             "(e.g. 10.9.8.7 or 2001:db8::ffff)"),
        _row("Service", "spec/clusterIPs", ["None", "10.96.0.9"], "spec.clusterIPs",
             'Invalid value: ["None","10.96.0.9"]: \'None\' must be the first and only value'),
        _row("Service", "spec/clusterIPs", ["10.96.0.8", "10.96.0.9"], "spec.clusterIPs",
             'Invalid value: ["10.96.0.8","10.96.0.9"]: '
             "may specify no more than one IP for each IP family"),
        _row("Service", "spec/ipFamilies", ["IPv4", "IPv4"], "spec.ipFamilies[1]",
             'Duplicate value: "IPv4"'),
        _row("Service", "spec/sessionAffinity", "Cookie", "spec.sessionAffinity",
             'Unsupported value: "Cookie": supported values: "ClientIP", "None"'),
        _row("Service", "spec/externalIPs", ["127.0.0.1"], "spec.externalIPs[0]",
             'Invalid value: "127.0.0.1": '
             "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        _row("Service", "spec/externalTrafficPolicy", "Local", "spec.externalTrafficPolicy",
             'Invalid value: "Local": may only be set for externally-accessible services'),
        _row("Service", "spec/healthCheckNodePort", 30000, "spec.healthCheckNodePort",
             "Invalid value: 30000: may only be set when `type` is 'LoadBalancer' and "
             "`externalTrafficPolicy` is 'Local'"),
        _row("Service", "spec/loadBalancerSourceRanges", ["10.0.0.0/8"],
             "spec.LoadBalancerSourceRanges",
             "Forbidden: may only be used when `type` is 'LoadBalancer'"),
        _row("Service", "spec/trafficDistribution", "Near", "spec.trafficDistribution",
             'Unsupported value: "Near": supported values: '
             '"PreferClose", "PreferSameNode", "PreferSameZone"'),
        # Pods
        _row("Pod", "spec/containers", [], "spec.containers", "Required value"),
        _row("Pod", f"{_CONTAINER}/image", None, "spec.containers[0].image", "Required value"),
        _row("Pod", f"{_CONTAINER}/image", " web", "spec.containers[0].image",
             'Invalid value: " web": must not have leading or trailing whitespace'),
        _row("Pod", f"{_CONTAINER}/ports/0/containerPort", 0,
             "spec.containers[0].ports[0].containerPort", "Required value"),
        _row("Pod", f"{_CONTAINER}/ports/0/hostPort", 65536,
             "spec.containers[0].ports[0].hostPort", f"Invalid value: 65536: {_RANGE}"),
        _row("Pod", f"{_CONTAINER}/ports/0/name", "HTTP", "spec.containers[0].ports[0].name",
             'Invalid value: "HTTP": must contain only alpha-numeric characters (a-z, 0-9), '
             "and hyphens (-)"),
        _row("Pod", "spec/initContainers/0/name", "server", "spec.initContainers[0].name",
             'Duplicate value: "server"'),
        _row("Pod", "spec/initContainers/0/readinessProbe", {"tcpSocket": {"port": 1}},
             "spec.initContainers[0].readinessProbe",
             "Forbidden: may not be set for init containers without restartPolicy=Always"),
        _row("Pod", f"{_CONTAINER}/env/0/valueFrom", {}, "spec.containers[0].env[0].valueFrom",
             'Invalid value: "": must specify one of: `fieldRef`, `resourceFieldRef`, '
             "`configMapKeyRef` or `secretKeyRef`"),
        _row("Pod", f"{_CONTAINER}/env/0/valueFrom/fieldRef/fieldPath", "status.phase",
             "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath",
             'Unsupported value: "status.phase": supported values: "metadata.name", '
             '"metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", '
             '"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"'),
        _row("Pod", f"{_CONTAINER}/volumeMounts/0/name", "none",
             "spec.containers[0].volumeMounts[0].name", 'Not found: "none"'),
        _row("Pod", "spec/volumes/0/emptyDir", {}, "spec.volumes[0].emptyDir",
             "Forbidden: may not specify more than 1 volume type"),
        _row("Pod", "spec/volumes/0/configMap/name", "", "spec.volumes[0].configMap.name",
             "Required value"),
        _row("Pod", f"{_CONTAINER}/readinessProbe", {}, "spec.containers[0].readinessProbe",
             "Required value: must specify a handler type"),
        _row("Pod", f"{_CONTAINER}/livenessProbe", {"exec": {"command": ["x"]}, "successThreshold": 2},
             "spec.containers[0].livenessProbe.successThreshold", "Invalid value: 2: must be 1"),
        _row("Pod", f"{_CONTAINER}/readinessProbe/periodSeconds", -1,
             "spec.containers[0].readinessProbe.periodSeconds",
             "Invalid value: -1: must be greater than or equal to 0"),
        _row("Pod", f"{_CONTAINER}/resources/requests/cpu", "2",
             "spec.containers[0].resources.requests",
             'Invalid value: "2": must be less than or equal to cpu limit of 1'),
        _row("Pod", "spec/restartPolicy", "Sometimes", "spec.restartPolicy",
             'Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"'),
        _row("Pod", "spec/dnsPolicy", "None", "spec.dnsConfig",
             "Required value: must provide `dnsConfig` when `dnsPolicy` is None"),
        _row("Pod", "spec/hostAliases", [{"ip": "localhost"}], "spec.hostAliases[0].ip",
             'Invalid value: "localhost": must be a valid IP address, '
             "(e.g. 10.9.8.7 or 2001:db8::ffff)"),
        _row("Pod", "spec/tolerations", [{"operator": "Equal"}], "spec.tolerations[0].operator",
             'Invalid value: "Equal": operator must be Exists when `key` is empty, which means '
             '"match all values and all keys"'),
        _row("Pod", "spec/topologySpreadConstraints/0/maxSkew", 0,
             "spec.topologySpreadConstraints[0].maxSkew",
             "Invalid value: 0: must be greater than zero"),
        _row("Pod", "spec", {**VALID["Pod"]["spec"], "hostNetwork": True, "containers": [
                 {**VALID["Pod"]["spec"]["containers"][0],
                  "ports": [{"containerPort": 80, "hostPort": 81}]}]},
             "spec.containers[0].ports[0].hostPort",
             "Invalid value: 81: must match `containerPort` when `hostNetwork` is true"),
        # Workloads
        _row("Deployment", "spec/replicas", -1, "spec.replicas",
             "Invalid value: -1: must be greater than or equal to 0"),
        _row("Deployment", "spec/template/metadata/labels", {"app": "other"},
             "spec.template.metadata.labels",
             'Invalid value: {"app":"other"}: `selector` does not match template `labels`'),
        _row("Deployment", "spec/selector", {}, "spec.selector",
             "Invalid value: {}: empty selector is invalid for deployment"),
        _row("Deployment", "spec/selector", None, "spec.selector", "Required value"),
        _row("Deployment", f"{_TEMPLATE}/restartPolicy", "Never",
             "spec.template.spec.restartPolicy",
             'Unsupported value: "Never": supported values: "Always"'),
        _row("Deployment", "spec/strategy", {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 0}},
             "spec.strategy.rollingUpdate.maxUnavailable",
             "Invalid value: 0: may not be 0 when `maxSurge` is 0"),
        _row("Deployment", "spec/strategy", {"rollingUpdate": {"maxUnavailable": "150%"}},
             "spec.strategy.rollingUpdate.maxUnavailable",
             'Invalid value: "150%": must not be greater than 100%'),
        _row("Deployment", "spec/minReadySeconds", 600, "spec.progressDeadlineSeconds",
             "Invalid value: 600: must be greater than minReadySeconds"),
        _row("DaemonSet", "spec/updateStrategy", {"rollingUpdate": {"maxSurge": 1}},
             "spec.updateStrategy.rollingUpdate.maxSurge",
             "Invalid value: 1: may not be set when maxUnavailable is non-zero"),
        # Endpoints
        _row("Endpoints", "subsets/0/addresses", [], "subsets[0]",
             "Required value: must specify `addresses` or `notReadyAddresses`"),
        _row("Endpoints", "subsets/0/addresses/0/ip", "169.254.0.1", "subsets[0].addresses[0].ip",
             'Invalid value: "169.254.0.1": '
             "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        _row("EndpointSlice", "endpoints/0/addresses", ["fd00::1"], "endpoints[0].addresses[0]",
             'Invalid value: "fd00::1": must be a valid IPv4 address'),
        _row("EndpointSlice", "addressType", None, "addressType", "Required value"),
        _row("EndpointSlice", "ports/1", {"name": "http", "port": 1}, "ports[1].name",
             'Duplicate value: "http"'),
        # Networking
        _row("Ingress", f"{_PATH}/pathType", None, "spec.rules[0].http.paths[0].pathType",
             "Required value: pathType must be specified"),
        _row("Ingress", f"{_PATH}/path", "web", "spec.rules[0].http.paths[0].path",
             'Invalid value: "web": must be an absolute path'),
        _row("Ingress", f"{_PATH}/backend/service/port", {},
             "spec.rules[0].http.paths[0].backend",
             "Required value: port name or number is required"),
        _row("Ingress", "spec/rules", [], "spec",
             "Invalid value: []: either `defaultBackend` or `rules` must be specified"),
        _row("IngressClass", "spec/controller", "nginx", "spec.controller",
             'Invalid value: "nginx": must be a domain-prefixed path (such as "acme.io/foo")'),
        _row("NetworkPolicy", "spec/ingress/0/from/0/ipBlock/except", ["11.0.0.0/8"],
             "spec.ingress[0].from[0].ipBlock.except[0]",
             'Invalid value: "11.0.0.0/8": must be a strict subset of `cidr`'),
        _row("NetworkPolicy", "spec/ingress/0/from/0", {}, "spec.ingress[0].from[0]",
             "Required value: must specify a peer"),
        _row("ServiceCIDR", "spec/cidrs", [], "spec.cidrs",
             "Required value: at least one CIDR required"),
        _row("IPAddress", "metadata/name", "2001:db8:0::1", "metadata.name",
             'Invalid value: "2001:db8:0::1": must be in canonical form ("2001:db8::1")'),
        # The rest
        _row("ConfigMap", "data", {"a/b": ""}, "data[a/b]",
             'Invalid value: "a/b": a valid config key must consist of alphanumeric characters, '
             "'-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', "
             "regex used for validation is '[-._a-zA-Z0-9]+')"),
        _row("ConfigMap", "data", {"a": "x" * (1 << 20 | 1)}, "",
             "Too long: may not be more than 1048576 bytes"),
        _row("Secret", "type", "kubernetes.io/tls", "data[tls.crt]", "Required value"),
        _row("Node", "spec/taints", [{"key": "a", "effect": "NoRun"}], "spec.taints[0].effect",
             'Unsupported value: "NoRun": supported values: '
             '"NoSchedule", "PreferNoSchedule", "NoExecute"'),
        _row("Lease", "spec/leaseDurationSeconds", 0, "spec.leaseDurationSeconds",
             "Invalid value: 0: must be greater than 0"),
        _row("Event", "involvedObject/namespace", "other", "involvedObject.namespace",
             'Invalid value: "other": does not match event.namespace'),
    ],
)  # fmt: skip
def test_mistake(kind: str, path: str, value: Any, field: str, said: str) -> None:
    causes = _causes(changed(kind, path, value))
    assert (field, said) in [(cause.field, cause.message) for cause in causes]
    assert all(cause.reason.startswith("FieldValue") for cause in causes)


@pytest.mark.parametrize(
    ("kind", "path", "value", "field", "said"),
    [
        _row("Service", "metadata/name", "other", "metadata.name", f'Invalid value: "other": {_IMMUTABLE}'),
        _row("Deployment", "spec/selector", {"matchLabels": {"app": "a"}}, "spec.selector",
             f'Invalid value: {{"matchLabels":{{"app":"a"}}}}: {_IMMUTABLE}'),
        _row("EndpointSlice", "addressType", "IPv6", "addressType",
             f'Invalid value: "IPv6": {_IMMUTABLE}'),
        _row("Secret", "type", "other", "type", f'Invalid value: "other": {_IMMUTABLE}'),
        _row("ServiceCIDR", "spec/cidrs", ["10.97.0.0/16"], "spec.cidrs[0]",
             f'Invalid value: "10.97.0.0/16": {_IMMUTABLE}'),
        _row("IngressClass", "spec/controller", "example.com/b", "spec.controller",
             f'Invalid value: "example.com/b": {_IMMUTABLE}'),
        _row("Node", "spec", {"podCIDRs": ["10.2.0.0/24"]}, "spec.podCIDRs",
             'Forbidden: node updates may not change podCIDR except from "" to valid'),
        _row("Pod", "spec/containers/1", {"name": "b", "image": "b"}, "spec.containers",
             "Forbidden: pod updates may not add or remove containers"),
    ],
)  # fmt: skip
def test_what_stays_as_it_was(kind: str, path: str, value: Any, field: str, said: str) -> None:
    causes = _causes(changed(kind, path, value), VALID[kind])
    assert (field, said) in [(cause.field, cause.message) for cause in causes]


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Deployment", "spec/selector/matchExpressions", []),
        ("Pod", "spec/hostNetwork", False),
        ("Pod", "spec/affinity", {"nodeAffinity": {}}),
        ("Pod", "spec/containers/0/command", []),
        ("Pod", "spec/containers/0/volumeMounts/0/readOnly", False),
    ],
)
def test_to_say_nothing_in_more_words_changes_nothing(kind: str, path: str, value: Any) -> None:
    assert _causes(changed(kind, path, value), VALID[kind]) == ()
    assert _causes(VALID[kind], changed(kind, path, value)) == ()


@pytest.mark.parametrize(
    ("path", "value", "is_free"),
    [
        ("spec/containers/0/image", "other:1.0", True),
        ("spec/activeDeadlineSeconds", 10, True),
        ("spec/tolerations", [{"key": "a", "operator": "Exists"}], True),
        ("spec/containers/0/args", ["netexec"], False),
        ("spec/nodeName", "n1", False),
        ("spec/restartPolicy", "Never", False),
        ("spec/terminationGracePeriodSeconds", 5, False),
    ],
)
def test_a_pod_that_runs_keeps_all_but_a_few_fields(path: str, value: Any, is_free: bool) -> None:
    causes = _causes(changed("Pod", path, value), VALID["Pod"])
    assert [cause.field for cause in causes] == ([] if is_free else ["spec"])
    if not is_free:
        assert causes[0].message.startswith(
            "Forbidden: pod updates may not change fields other than"
        )


def _service(**spec: Any) -> dict[str, Any]:
    return changed("Service", "spec", {"ports": [{"port": 80}], **spec})


_V4, _V6 = {"clusterIPs": ["10.96.0.9"]}, {"clusterIPs": ["10.96.0.9", "fd00::9"]}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        pytest.param(_V4, {}, None, id="what is not said stays"),
        pytest.param(_V4, _V6, None, id="a second address may come"),
        pytest.param(_V6, {**_V4, "ipFamilyPolicy": "SingleStack"}, None, id="and may go"),
        pytest.param(
            *(_V6, _V4),
            "Invalid value: null: must be set to 'SingleStack' when releasing "
            "the secondary clusterIP",
            id="but only with SingleStack",
        ),
        pytest.param(
            *(_V4, {"clusterIP": "10.96.0.10"}),
            'Invalid value: ["10.96.0.10"]: may not change once set',
            id="the first one stays",
        ),
        pytest.param(
            *(_V4, {"type": "ExternalName", "externalName": "a.b"}), None, id="unless its type goes"
        ),
    ],
)
def test_addresses_of_a_service_stay(old: Any, new: Any, said: str | None) -> None:
    causes = _causes(_service(**new), _service(**old))
    assert [cause.message for cause in causes] == ([said] if said else [])


_BALANCED = {"ports": [{"port": 80}], "type": "LoadBalancer"}


@pytest.mark.parametrize(
    ("spec", "ingress", "said"),
    [
        pytest.param(_BALANCED, {"ip": "192.0.2.1", "ipMode": "Proxy"}, None, id="an address"),
        pytest.param(_BALANCED, {"hostname": "lb.example.com"}, None, id="a name"),
        pytest.param(
            *(_BALANCED, {"hostname": "192.0.2.1"}),
            'Invalid value: "192.0.2.1": must be a DNS name, not an IP address',
            id="an address for a name",
        ),
        pytest.param(
            *(_BALANCED, {"hostname": "a", "ipMode": "VIP"}),
            "Forbidden: may not be specified when `ip` is not set",
            id="a mode of no address",
        ),
        pytest.param(
            *({"ports": [{"port": 80}]}, {"ip": "192.0.2.1"}),
            'Forbidden: may only be used when `spec.type` is "LoadBalancer"',
            id="of another type",
        ),
    ],
)
def test_where_a_load_balancer_is(spec: Any, ingress: Any, said: str | None) -> None:
    old = changed("Service", "spec", spec)
    new = {**old, "status": {"loadBalancer": {"ingress": [ingress]}}}
    assert [cause.message for cause in _causes(new, old)] == ([said] if said else [])


_EVENT = {
    "apiVersion": "events.k8s.io/v1",
    "kind": "Event",
    "metadata": {"name": "one", "namespace": "default"},
    "eventTime": "2026-01-01T00:00:00.000000Z",
    "type": "Normal",
    "reason": "Started",
    "action": "Starting",
    "reportingController": "example.com/watcher",
    "reportingInstance": "n1",
    "regarding": {"kind": "Pod", "name": "web", "namespace": "default"},
    "note": "it has begun",
}


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({}, "", ""),
        ({"eventTime": None}, "eventTime", "Required value"),
        ({"action": None}, "action", "Required value"),
        ({"reportingController": "a b"}, "reportingController", "name part must consist of"),
        ({"note": "x" * 1025}, "message", "can have at most 1024 characters"),
        ({"type": "Odd"}, "type", 'Invalid value: "": has invalid value: Odd'),
        ({"deprecatedCount": 2}, "count", "needs to be unset"),
        ({"series": {"count": 1}}, "series.count", "should be at least 2"),
    ],
)
def test_an_event_of_the_new_form_says_all(change: Any, field: str, said: str) -> None:
    found = [(one.field, one.message) for one in _causes({**_EVENT, **change})]
    assert any(field == one and said in message for one, message in found) if field else not found


def test_of_an_event_only_the_series_grows() -> None:
    series = {"count": 2, "lastObservedTime": "2026-01-01T00:00:01.000000Z"}
    assert _causes({**_EVENT, "series": series}, _EVENT) == ()
    (cause,) = _causes({**_EVENT, "note": "another"}, _EVENT)
    assert (cause.field, cause.message) == ("message", f'Invalid value: "another": {_IMMUTABLE}')


def test_an_immutable_config_map_stays() -> None:
    old = changed("ConfigMap", "immutable", True)
    fields = [cause.field for cause in _causes(changed("ConfigMap", "data", {"b": ""}), old)]
    assert fields == ["immutable", "data"]


def test_an_object_that_goes_gets_no_new_finalizers() -> None:
    old = changed("Pod", "metadata/deletionTimestamp", "2026-01-01T00:00:00Z")
    (cause,) = _causes(changed("Pod", "metadata/finalizers", ["a.b/c"]), old)
    assert cause.field == "metadata.finalizers"
    assert cause.message.startswith("Forbidden: no new finalizers can be added")


@pytest.mark.parametrize("kind", sorted({one.kind for one in RESOURCES if "create" in one.verbs}))
def test_every_kind_that_clients_write_has_rules(kind: str) -> None:
    assert kind in RULES


_GATED = {"schedulingGates": [{"name": "a.b/gate"}], "nodeSelector": {"zone": "a"}}
_TERMS = "requiredDuringSchedulingIgnoredDuringExecution"
_IN_A = {"key": "zone", "operator": "In", "values": ["a"]}


def _affine(*expressions: Any) -> dict[str, Any]:
    terms = {"nodeSelectorTerms": [{"matchExpressions": [*expressions]}]}
    return {"affinity": {"nodeAffinity": {_TERMS: terms}}}


@pytest.mark.parametrize(
    ("before", "after", "fields"),
    [
        pytest.param({}, {"nodeSelector": {"zone": "a", "disk": "b"}}, [], id="narrower"),
        pytest.param({}, {"nodeSelector": {"zone": "b"}}, ["spec.nodeSelector"], id="elsewhere"),
        pytest.param({}, _affine(_IN_A), [], id="an affinity comes"),
        pytest.param(_affine(_IN_A), _affine(_IN_A, _IN_A), [], id="an affinity becomes narrower"),
        pytest.param(
            *(_affine(_IN_A), _affine({**_IN_A, "key": "disk"})),
            [f"spec.affinity.nodeAffinity.{_TERMS}.nodeSelectorTerms[0]"],
            id="another affinity",
        ),
        pytest.param({}, {"schedulingGates": []}, [], id="the gate opens"),
        pytest.param(
            *({}, {"schedulingGates": [{"name": "a.b/gate"}, {"name": "a.b/more"}]}),
            ["spec.schedulingGates[1].name"],
            id="one more gate",
        ),
        pytest.param({}, {"hostNetwork": True}, ["spec"], id="anything else"),
    ],
)
def test_a_pod_that_waits_for_its_gates_may_become_narrower(
    before: Any, after: Any, fields: list[str]
) -> None:
    spec = {**VALID["Pod"]["spec"], **_GATED, **before}
    old, new = (changed("Pod", "spec", one) for one in (spec, {**spec, **after}))
    assert [cause.field for cause in _causes(new, old)] == fields
