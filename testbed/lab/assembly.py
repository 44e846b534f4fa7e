"""A lab's control plane, put together: the cluster, and what works on it for whoever asks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from testbed.clock import now_s
from testbed.dns.plugin_cfg import PLUGIN_CFG
from testbed.lab.captures import Captures
from testbed.lab.cluster import Cluster
from testbed.lab.delays import drawn
from testbed.lab.dns_feed import DnsFeed
from testbed.lab.dns_servers import DnsServers
from testbed.lab.execution import Execution
from testbed.lab.external_dns import Around, ExternalDns
from testbed.lab.journal import Journal
from testbed.lab.lazy_api import LazyApi
from testbed.lab.loads import Loads
from testbed.lab.meter import Meter
from testbed.lab.node_caches import NodeCaches
from testbed.lab.places import Places
from testbed.lab.probes import Probes
from testbed.lab.programs import Programs
from testbed.lab.recordings import Recordings
from testbed.lab.setting import Setting
from testbed.lab.tracing import Traces
from testbed.model.topology import Topology
from testbed.runtime.processes import Processes
from testbed.store import Store


@dataclass(frozen=True, slots=True)
class Parts:
    """Of one lab."""

    cluster: Cluster
    execution: Execution
    loads: Loads
    recordings: Recordings
    meter: Meter
    captures: Captures
    traces: Traces
    probes: Probes
    api: LazyApi


def assembled(topology: Topology, folder: Path, processes: Processes, journal: Journal) -> Parts:
    """The parts of a lab that is to be this topology, and is nothing yet."""
    store = Store(now_s, folder.name)
    journal.follow(store)
    feed = DnsFeed(store)
    programs = Programs(processes, folder)
    order = topology.dns.plugin_order or PLUGIN_CFG
    programs.dns = DnsServers(processes, folder, store, feed, order)
    programs.node_caches = NodeCaches(programs.dns, store, topology.dns.domain)
    delays = drawn(topology.timing, folder.name)
    cluster = Cluster(Setting(topology, folder, store, programs, journal.record, delays))
    cluster.touch.listeners.append(feed)
    places = Places(cluster, folder)
    programs.name_files = lambda pod: places.files(
        places.find(f"{pod.meta.namespace}/{pod.meta.name}")
    )
    captures = Captures(cluster, places, processes)
    api = LazyApi(cluster, topology, folder, journal)
    cluster.recipes.account = api.account
    if topology.dns.server.program:
        around = Around(
            folder,
            processes,
            journal.record,
            upstream=lambda: cluster.outside_dns.addresses,
            kubeconfig=api.file_inside,
        )
        programs.external_dns = ExternalDns(topology.dns, store, around)
        cluster.touch.listeners.append(programs.external_dns)
    return Parts(
        cluster,
        Execution(places, processes),
        Loads(places, processes, folder, journal.record, store.snapshot),
        Recordings(cluster, programs, processes, folder),
        Meter(cluster, processes),
        captures,
        Traces(cluster, places, processes, captures, folder),
        Probes(cluster, places, processes),
        api,
    )
