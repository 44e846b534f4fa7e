"""The Kubernetes-compatible HTTP face of the store: list, watch and get. All but `server` ■ is pure."""
