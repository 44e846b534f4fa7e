"""What fields with a choice may say, in the order in which messages list it; OpenAPI says it, too."""

from __future__ import annotations

from collections.abc import Mapping

PROTOCOLS = ("SCTP", "TCP", "UDP")
SERVICE_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
AFFINITIES = ("ClientIP", "None")
TRAFFIC_POLICIES = ("Cluster", "Local")
IP_FAMILIES = ("IPv4", "IPv6")
IP_FAMILY_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
IP_MODES = ("Proxy", "VIP")
RESTART_POLICIES = ("Always", "OnFailure", "Never")
DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
PULL_POLICIES = ("Always", "IfNotPresent", "Never")
MESSAGE_POLICIES = ("File", "FallbackToLogsOnError")
SCHEMES = ("HTTP", "HTTPS")
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
TOLERATION_OPERATORS = ("Equal", "Exists")
UNSATISFIABLE = ("DoNotSchedule", "ScheduleAnyway")
INCLUSION_POLICIES = ("Honor", "Ignore")
DEPLOYMENT_STRATEGIES = ("Recreate", "RollingUpdate")
DAEMON_SET_STRATEGIES = ("RollingUpdate", "OnDelete")
ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
POLICY_TYPES = ("Ingress", "Egress")
HOST_PATH_TYPES = (
    *("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate"),
    *("File", "FileOrCreate", "Socket"),
)

_CORE, _APPS = "io.k8s.api.core.v1.", "io.k8s.api.apps.v1."
CHOICES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    _CORE + "ServicePort": {"protocol": PROTOCOLS},
    _CORE + "EndpointPort": {"protocol": PROTOCOLS},
    _CORE + "ContainerPort": {"protocol": PROTOCOLS},
    _CORE + "ServiceSpec": {
        "type": SERVICE_TYPES,
        "sessionAffinity": AFFINITIES,
        "externalTrafficPolicy": TRAFFIC_POLICIES,
        "internalTrafficPolicy": TRAFFIC_POLICIES,
        "ipFamilyPolicy": IP_FAMILY_POLICIES,
    },
    _CORE + "PodSpec": {"restartPolicy": RESTART_POLICIES, "dnsPolicy": DNS_POLICIES},
    _CORE + "Container": {
        "imagePullPolicy": PULL_POLICIES,
        "terminationMessagePolicy": MESSAGE_POLICIES,
    },
    _CORE + "HTTPGetAction": {"scheme": SCHEMES},
    _CORE + "HostPathVolumeSource": {"type": HOST_PATH_TYPES},
    _CORE + "Taint": {"effect": EFFECTS},
    _CORE + "Toleration": {"effect": EFFECTS, "operator": TOLERATION_OPERATORS},
    _CORE + "TopologySpreadConstraint": {
        "whenUnsatisfiable": UNSATISFIABLE,
        "nodeAffinityPolicy": INCLUSION_POLICIES,
        "nodeTaintsPolicy": INCLUSION_POLICIES,
    },
    _APPS + "DeploymentStrategy": {"type": DEPLOYMENT_STRATEGIES},
    _APPS + "DaemonSetUpdateStrategy": {"type": DAEMON_SET_STRATEGIES},
    "io.k8s.api.discovery.v1.EndpointSlice": {"addressType": ADDRESS_TYPES},
    "io.k8s.api.discovery.v1.EndpointPort": {"protocol": PROTOCOLS},
    "io.k8s.api.networking.v1.HTTPIngressPath": {"pathType": PATH_TYPES},
    "io.k8s.api.networking.v1.NetworkPolicyPort": {"protocol": PROTOCOLS},
}
"""By the name of a type's schema and by its field."""
