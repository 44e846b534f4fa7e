"""Nodes and pods that are containers of the Docker daemon.

The daemon, and so every container, is on the host's side of the lab's world: in its PID and mount namespaces.
Their network namespaces are wired like any other. `outside` reaches across, `remains` takes away.
"""
