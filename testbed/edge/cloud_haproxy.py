"""A balancer that is an HAProxy: it ends connections, and dials node ports from its own address."""

from __future__ import annotations

import csv
import io
import re

from testbed.edge.cloud import Frontend, Plan, Target
from testbed.edge.haproxy_text import Configuration, Pool, Section, Server, general, server_name
from testbed.ip import host_port

CONNECT_S = 5
"""How long a node may take to accept."""
IDLE_S = 350
"""A connection that is silent for so long is closed: an NLB's."""
_CHANGE = re.compile(r"Server (\S+)/(s\d+) is (UP|DOWN)\b(?:.*?reason: ([^,]+))?")


def configuration(plan: Plan, *, proxy_protocol: bool) -> Configuration:
    """What HAProxy is told for a plan. Its checks are its own."""
    defaults = Section(
        "defaults",
        (
            "mode tcp",
            "log global",
            f"timeout connect {CONNECT_S}s",
            f"timeout client {IDLE_S}s",
            f"timeout server {IDLE_S}s",
            f"timeout check {_ms(plan.cadence.timeout_s)}",
        ),
    )
    fronts = (_frontend(one) for one in plan.frontends)
    return Configuration(
        (general(), defaults, *fronts),
        tuple(_pool(one, plan, proxy_protocol=proxy_protocol) for one in plan.frontends),
    )


def change_of(line: str, plan: Plan) -> tuple[Frontend, Target, bool, str] | None:
    """What a line of HAProxy's log says of a node: whether it is up now, and why not. None: something else."""
    match = _CHANGE.search(line)
    if match is None:
        return None
    for front in plan.frontends:
        if front.name == match[1]:
            for slot, target in enumerate(front.targets):
                if server_name(slot) == match[2]:
                    return front, target, match[3] == "UP", (match[4] or "").strip()
    return None


def unchecked(statistics: str) -> int:
    """How many servers no check has an outcome of yet, by what `show stat` prints."""
    rows = csv.DictReader(io.StringIO(statistics.removeprefix("# ")))
    return sum(row["check_status"].lstrip("* ") == "INI" for row in rows)


def _frontend(front: Frontend) -> Section:
    lines = [f"bind {host_port(front.address, front.port)}", f"default_backend {front.name}"]
    if front.source_ranges:
        allowed = " ".join(front.source_ranges)
        lines.insert(1, f"tcp-request connection reject if !{{ src {allowed} }}")
    return Section(f"frontend {front.name}", tuple(lines))


def _pool(front: Frontend, plan: Plan, *, proxy_protocol: bool) -> Pool:
    """Node ports take connections in turn, or by the client's address."""
    cadence, check = plan.cadence, front.check
    lines = [f"balance {'source' if front.sticky else 'roundrobin'}"]
    if check.path:
        lines += [f"option httpchk GET {check.path}", "http-check expect status 200"]
    options = (
        f"check port {check.port} inter {_ms(cadence.interval_s)} "
        f"rise {cadence.healthy_threshold} fall {cadence.unhealthy_threshold}"
    )
    if proxy_protocol:
        options += " send-proxy-v2"
    servers = tuple(Server(target.ip, front.node_port) for target in front.targets)
    return Pool(front.name, tuple(lines), servers, options)


def _ms(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"
