"""Whom a token stands for."""

from __future__ import annotations

ADMIN = "kubernetes-admin"
"""Whoever has the kubeconfig, as kubeadm calls them."""


def service_account(namespace: str, name: str) -> str:
    """The user that a ServiceAccount is."""
    return f"system:serviceaccount:{namespace}:{name}"
