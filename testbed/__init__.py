"""Kubernetes service networking on one machine: real namespaces, real rules, measured."""

__version__ = "0.1.0"
