"""In which order plug-ins see a query: the list that CoreDNS is built with (its plugin.cfg), as data."""

from __future__ import annotations

_PLUGIN_CFG = """
root metadata geoip cancel tls quic timeouts multisocket reload nsid bufsize bind debug trace
ready health pprof prometheus errors log dnstap local dns64 any chaos loadbalance tsig cache
rewrite acl header dnssec autopath minimal template transfer hosts route53 azure clouddns
k8s_external kubernetes file auto secondary etcd loop forward grpc erratic whoami on sign view
nomad
"""
PLUGIN_CFG = tuple(_PLUGIN_CFG.split())
"""All of CoreDNS's own, in its order. Source: plugin.cfg of CoreDNS 1.12."""
