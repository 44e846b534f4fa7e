"""What a proxy has done so far, in kube-proxy's words."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Metrics:
    """Counters since the start, named after kube-proxy's metrics (without `kubeproxy_`)."""

    sync_full_proxy_rules_count: int = 0
    sync_partial_proxy_rules_count: int = 0
    sync_proxy_rules_iptables_restore_failures_total: int = 0
    sync_proxy_rules_changes_total: int = 0
    sync_proxy_rules_last_queued_ns: int = 0
    sync_proxy_rules_last_ns: int = 0
    sync_proxy_rules_iptables_total: tuple[tuple[str, int], ...] = ()
    """(table, rules in force)."""
    conntrack_reconciler_deleted_flows_total: int = 0

    def plus(self, **added: int) -> Metrics:
        """With some counters increased."""
        return replace(self, **{name: getattr(self, name) + n for name, n in added.items()})
