"""Kubernetes' DNS specification as a table: rows.txt asks, cluster.yaml is the cluster that it asks about."""
