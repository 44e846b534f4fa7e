"""Services and endpoints, as seen from a node -> rules: kube-proxy as a compiler.

Semantics are decided once, in `endpoints` and `table`; a back end (`iptables`) only spells them, and back ends
never import each other. Pure except for `loop` and `stale`, which run what was planned.
"""
