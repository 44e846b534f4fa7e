#!/usr/bin/env python3
"""A proxy in 60 lines, for `proxy.mode: external`: watches services and endpoints, writes nft rules.

usage: dnat-proxy.py API_URL POD_CIDR

Every cluster IP's TCP ports go to one of the ready endpoints at random. No node ports, no policies, no IPv6.
"""

import json
import queue
import subprocess
import sys
import threading
import urllib.request

API, POD_CIDR = sys.argv[1:3]
KINDS = ("/api/v1/services", "/apis/discovery.k8s.io/v1/endpointslices")


def watch(path: str, news: "queue.Queue[tuple[str, dict | None]]") -> None:
    """Puts (path, event) for all there is, (path, None) when that was all, then what changes."""
    query = (
        "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    )
    while True:
        with urllib.request.urlopen(f"{API}{path}?{query}") as stream:
            for line in stream:
                event = json.loads(line)
                news.put((path, None if event["type"] == "BOOKMARK" else event))


def rules(services: dict, slices: dict) -> str:
    """The whole table, in nft's own syntax."""
    picks = []
    for (namespace, name), service in services.items():
        for port in service["spec"].get("ports", []):
            ips = service["spec"].get("clusterIPs", [])
            if port["protocol"] != "TCP" or not ips or ips[0] == "None":
                continue
            ready = sorted(
                f"{one['addresses'][0]} . {port_of_slice['port']}"
                for (space, _), item in slices.items()
                if space == namespace
                and item["metadata"]["labels"].get("kubernetes.io/service-name") == name
                for port_of_slice in item["ports"]
                if port_of_slice["name"] == port.get("name", "")
                for one in item["endpoints"]
                if one["conditions"]["ready"]
            )
            match = f"ip daddr {ips[0]} tcp dport {port['port']}"
            targets = ", ".join(f"{index} : {target}" for index, target in enumerate(ready))
            if ready:
                pick = f"dnat ip addr . port to numgen random mod {len(ready)} map {{ {targets} }}"
                picks += [f"ip saddr != {POD_CIDR} {match} meta mark set 1", f"{match} {pick}"]
    body = "; ".join(picks or ["continue"])
    return f"""
table ip dnat-proxy
delete table ip dnat-proxy
table ip dnat-proxy {{
  chain picks {{ {body}; }}
  chain prerouting {{ type nat hook prerouting priority dstnat; jump picks; }}
  chain output {{ type nat hook output priority -100; jump picks; }}
  chain postrouting {{
    type nat hook postrouting priority srcnat;
    meta mark 1 masquerade;
    ct status dnat fib saddr type local masquerade;
  }}
}}
"""


def main() -> None:
    news: queue.Queue = queue.Queue()
    for path in KINDS:
        threading.Thread(target=watch, args=(path, news), daemon=True).start()
    known: dict = {path: {} for path in KINDS}
    complete = set()
    while True:
        path, event = news.get()
        if event is None:
            complete.add(path)
        else:
            meta = event["object"]["metadata"]
            known[path].pop((meta["namespace"], meta["name"]), None)
            if event["type"] != "DELETED":
                known[path][meta["namespace"], meta["name"]] = event["object"]
        if complete == set(KINDS) and news.empty():
            subprocess.run(["nft", "-f", "-"], input=rules(*known.values()), text=True, check=True)
            print("programmed", flush=True)


main()
