"""The flow table: every row, and the names that its readers need.

Every row runs through the packet tracer over the planned rules of each node, and through real
namespaces: in each mode, IP family and profile.
"""

from __future__ import annotations

from tests.flow import (
    CLOSED,
    DROPPED,
    LOST,
    NAMESPACE,
    POD_PORT,
    PROFILES,
    REFUSED,
    UNTOUCHED,
    Answer,
    Deviation,
    Flow,
)
from tests.flow_states import STATES, cluster, nodes
from tests.flows_changes import ENDPOINT_CHANGE_FLOWS, SERVICE_CHANGE_FLOWS
from tests.flows_cluster_ip import (
    CLUSTER_IP_FLOWS,
    HAIRPIN_FLOWS,
    IGNORED_FLOWS,
    PORT_FLOWS,
    SCTP_FLOWS,
    UDP_FLOWS,
)
from tests.flows_conditions import NO_ENDPOINT_FLOWS, TERMINATING_FLOWS
from tests.flows_external import (
    EXTERNAL_IP_FLOWS,
    LOAD_BALANCER_FLOWS,
    NODE_PORT_FLOWS,
    OPTION_FLOWS,
    SOURCE_RANGE_FLOWS,
)
from tests.flows_policy import (
    AFFINITY_FLOWS,
    EXTERNAL_POLICY_FLOWS,
    INTERNAL_POLICY_FLOWS,
    TOPOLOGY_FLOWS,
)

__all__ = [
    "CLOSED",
    "DROPPED",
    "FLOWS",
    "LOST",
    "NAMESPACE",
    "POD_PORT",
    "PROFILES",
    "REFUSED",
    "STATES",
    "UNTOUCHED",
    "Answer",
    "Deviation",
    "Flow",
    "cluster",
    "nodes",
]

FLOWS = (
    *CLUSTER_IP_FLOWS,
    *PORT_FLOWS,
    *HAIRPIN_FLOWS,
    *UDP_FLOWS,
    *SCTP_FLOWS,
    *IGNORED_FLOWS,
    *NODE_PORT_FLOWS,
    *EXTERNAL_IP_FLOWS,
    *LOAD_BALANCER_FLOWS,
    *SOURCE_RANGE_FLOWS,
    *NO_ENDPOINT_FLOWS,
    *TERMINATING_FLOWS,
    *INTERNAL_POLICY_FLOWS,
    *EXTERNAL_POLICY_FLOWS,
    *AFFINITY_FLOWS,
    *TOPOLOGY_FLOWS,
    *ENDPOINT_CHANGE_FLOWS,
    *SERVICE_CHANGE_FLOWS,
    *OPTION_FLOWS,
)
