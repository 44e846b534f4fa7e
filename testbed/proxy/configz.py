"""A proxy's options as kube-proxy's own configuration object, the page /configz."""

from __future__ import annotations

from typing import Any

from testbed.proxy.pace import Periods
from testbed.proxy.pages import HEALTH_PORT, METRICS_PORT
from testbed.proxy.status import proxy_mode
from testbed.proxy.table import ProxyConfig


def configuration(node: str, name: str, config: ProxyConfig, periods: Periods) -> dict[str, Any]:
    """KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1) as JSON values.

    `name` is the back end's label. Only what the testbed's proxy obeys is in it.
    """
    mode = proxy_mode(name)
    section: dict[str, Any] = {
        "syncPeriod": _duration(periods.sync_period_s),
        "minSyncPeriod": _duration(periods.min_sync_period_s),
    }
    if mode == "ipvs":
        section["scheduler"] = name.partition("/")[2]
    else:
        section["masqueradeAll"] = config.masquerade_all
    return {
        "kind": "KubeProxyConfiguration",
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "hostnameOverride": node,
        "mode": mode,
        "clusterCIDR": config.cluster_cidr,
        "detectLocalMode": "ClusterCIDR",
        "nodePortAddresses": list(config.node_port_addresses) or None,
        "metricsBindAddress": f"127.0.0.1:{METRICS_PORT}",
        "healthzBindAddress": f"0.0.0.0:{HEALTH_PORT}",
        mode: section,
    }


def _duration(seconds: float) -> str:
    return f"{seconds:g}s"
