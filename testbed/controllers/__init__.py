"""What keeps the cluster's state true: scheduler, deployments, endpoint slices, kubelets.

Here live pure decisions on a snapshot, and three modules that act: `loop`, `kubelet` and `probes`.
What a pod is made of belongs to `runtime`; rules, names and traffic know nothing of this package.
"""
