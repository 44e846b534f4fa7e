"""What people write and what Kubernetes calls it: objects, manifests, topologies, addresses.

Pure except for `loader`, which reads files. Nothing here knows how anything is carried out.
"""
