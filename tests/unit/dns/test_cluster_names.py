"""Which zones follow what a server hears."""

from __future__ import annotations

from testbed.dns.cluster_names import ClusterNames
from testbed.dns.wire import NOERROR, NXDOMAIN, A
from testbed.dns.zone_options import ZoneOptions
from testbed.model.manifest import to_manifest
from testbed.model.objects.services import Service

WEB = "web.default.svc.cluster.local"


def test_zones_are_shared_and_followed_as_long_as_a_corefile_has_them(web: Service) -> None:
    names = ClusterNames()
    kept, left = names.under(ZoneOptions()), names.under(ZoneOptions(ttl_s=30))
    assert names.under(ZoneOptions()) is kept
    names.keep({ZoneOptions()})
    touched = names.hear({"objects": [to_manifest(web)], "resource_version": 1, "synced": True})
    assert WEB in touched
    assert [one.zone.lookup(WEB, A).rcode for one in (kept, left)] == [NOERROR, NXDOMAIN]
    again = names.under(ZoneOptions(ttl_s=30))
    assert again.synced
    assert again.zone.lookup(WEB, A).rcode == NOERROR
