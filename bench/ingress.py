"""An ingress controller's HAProxy beside the same HAProxy with a configuration written by hand."""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.measure import Comparison, Goal, Side, in_turns
from testbed.errors import TestbedError
from testbed.lab.client import Lab
from testbed.model.topology import Topology

_PROXY_CPU, _OTHERS_CPU = 0, 1
_CONNECTIONS, _STREAMS = 50, 10
_REQUESTS, _PATIENCE_S = 60_000, 240
_PORT = 9090
_HTTP, _HTTPS = 8081, 8444
"""Where the one that is written by hand listens."""
_HOST = "shop.test"
_SERVICES = ("web", "cart", "user", "pay")
_CLIENT = "client"

_TOPOLOGY: dict[str, Any] = {
    "name": "bench-ingress",
    "nodes": {"n1": {}, "n2": {}},
    "hosts": {_CLIENT: {}},
    "dns": {"replicas": 0},
    "ingress": {
        "nodeSelector": {"kubernetes.io/hostname": "n1"},
        "certificates": {"shop": {"hosts": [_HOST]}},
    },
    "workloads": {"web": {"node": "n2"}},
    "services": {
        name: {"port": 80, "targetPort": _PORT, "selector": {"app": "web"}} for name in _SERVICES
    },
    "manifests": [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": "shop", "annotations": {"haproxy.org/ssl-redirect": "false"}},
            "spec": {
                "tls": [{"hosts": [_HOST], "secretName": "shop"}],
                "rules": [
                    {
                        "host": _HOST,
                        "http": {
                            "paths": [
                                {
                                    "path": "/" if name == "web" else f"/{name}",
                                    "pathType": "Prefix",
                                    "backend": {"service": {"name": name, "port": {"number": 80}}},
                                }
                                for name in _SERVICES
                            ]
                        },
                    }
                ],
            },
        }
    ],
}

_BACKEND = f"""
global
    nbthread 1
    maxconn 2000
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend all
    bind 0.0.0.0:{_PORT}
    http-request return status 200 content-type text/plain string "hello, here is a page of some length"
"""

_BY_HAND = """
global
    nbthread 1
    maxconn 4096
    ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
    mode http
    option forwardfor
    option redispatch
    retries 3
    timeout connect 5s
    timeout client 50s
    timeout server 50s
    timeout http-request 5s
    timeout http-keep-alive 1m
frontend shop
    bind 0.0.0.0:{http}
    bind 0.0.0.0:{https} ssl crt {pem} alpn h2,http/1.1
    http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}
    acl shop hdr(host) -i {host} {host}:{http} {host}:{https}
    use_backend cart if shop {{ path /cart }} or shop {{ path_beg /cart/ }}
    use_backend user if shop {{ path /user }} or shop {{ path_beg /user/ }}
    use_backend pay if shop {{ path /pay }} or shop {{ path_beg /pay/ }}
    use_backend web if shop
"""


@dataclass(frozen=True, slots=True)
class _Case:
    name: str
    options: tuple[str, ...]
    scheme: str
    ports: tuple[int, int]
    """The controller's, and that of the one by hand."""


_CASES = (
    _Case("HTTP/1.1", ("--h1",), "http", (80, _HTTP)),
    _Case("TLS, HTTP/2", (f"-m{_STREAMS}",), "https", (443, _HTTPS)),
)


def requests(repeats: int) -> Iterator[Comparison]:
    """What one HAProxy on one CPU makes of a second, client and backends on another."""
    lab_topology = Topology.model_validate(_TOPOLOGY)
    with Lab.up(lab_topology, ephemeral=True) as lab, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        address = str(lab.inspect()["nodes"][0]["addresses"][0])
        pod = str(next(one["ip"] for one in lab.inspect()["pods"] if one["name"] == "web-0"))
        (folder / "backend.cfg").write_text(_BACKEND)
        (folder / "by-hand.cfg").write_text(_by_hand(lab, folder, pod))
        _pin(lab, "n1")
        with (
            _haproxy(lab, "web-0", folder / "backend.cfg", _OTHERS_CPU, _PORT),
            _haproxy(lab, "n1", folder / "by-hand.cfg", _PROXY_CPU, _HTTP),
        ):
            for case in _CASES:
                yield _compared(lab, address, case, repeats)


def _compared(lab: Lab, address: str, case: _Case, repeats: int) -> Comparison:
    """By its own CPU time, which neighbours hardly change; what it answered a second is told beside."""
    rates: list[float] = []

    def by_cpu(port: int) -> float:
        before = _cpu_s(lab, port)
        rates.append(_h2load(lab, (address, port), case))
        return _REQUESTS / (_cpu_s(lab, port) - before)

    by_cpu(case.ports[0])  # warm-up
    by_cpu(case.ports[1])
    ours, theirs = in_turns(lambda: by_cpu(case.ports[0]), lambda: by_cpu(case.ports[1]), repeats)
    return Comparison(
        f"ingress, {case.name}, {len(_SERVICES)} paths",
        "requests per second of its CPU",
        Side("testbed", f"1 thread, {_CONNECTIONS} connections, maps", ours),
        Side("HAProxy by hand", f"1 thread, {_CONNECTIONS} connections, ACLs", theirs),
        Goal(0.95, at_most=False),
        note=f"Client and backends on the other CPU: {min(rates[2:]):.0f} to {max(rates[2:]):.0f}"
        " requests a second of clock time.",
    )


def _cpu_s(lab: Lab, port: int) -> float:
    """What the worker that listens on a port has used."""
    line = f"ss -Hltnp 'sport = :{port}' | grep -o 'pid=[0-9]*' | head -n 1"
    pid = lab.exec("n1", ["sh", "-c", line]).stdout.strip().removeprefix("pid=")
    if not pid:
        raise TestbedError(f"nobody listens on port {port} of node n1")
    fields = lab.exec("n1", ["cat", f"/proc/{pid}/stat"]).stdout.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _by_hand(lab: Lab, folder: Path, pod: str) -> str:
    """With the certificate that the controller has."""
    found = lab.exec("n1", ["sh", "-c", f"cat {lab.folder}/ingress/*/*@{_HOST}.pem"], 30).stdout
    pem = folder / "shop.pem"
    pem.write_text(found)
    backends = "".join(
        f"backend {name}\n    balance roundrobin\n    server web {pod}:{_PORT} check inter 2s\n"
        for name in _SERVICES
    )
    return _BY_HAND.format(http=_HTTP, https=_HTTPS, pem=pem, host=_HOST) + backends


def _pin(lab: Lab, node: str) -> None:
    """All HAProxy processes of the lab so far: the controller's."""
    done = lab.exec(
        node, ["sh", "-c", f"for pid in $(pidof haproxy); do taskset -acp {_PROXY_CPU} $pid; done"]
    )
    if done.returncode or not done.stdout:
        raise TestbedError(f"no HAProxy to pin: {done.stderr}")


@contextmanager
def _haproxy(lab: Lab, where: str, config: Path, cpu: int, port: int) -> Iterator[None]:
    pid_file = config.with_suffix(".pid")
    argv = ["taskset", "--cpu-list", str(cpu), "haproxy", "-W", "-p", str(pid_file)]
    argv += ["-f", str(config)]
    server = threading.Thread(target=lambda: Lab.attach(lab.name).exec(where, argv))
    server.start()
    check = ["curl", "-s", "-H", f"Host: {_HOST}", "-o", "/dev/null", "--retry", "40"]
    done = lab.exec(
        where, [*check, "--retry-connrefused", "--retry-delay", "0", f"http://127.0.0.1:{port}/"]
    )
    if done.returncode:
        raise TestbedError(f"the HAProxy of {config.name} does not answer: {done.stderr}")
    try:
        yield
    finally:
        lab.exec(where, ["kill", pid_file.read_text().split()[0]])
        server.join()


def _h2load(lab: Lab, to: tuple[str, int], case: _Case) -> float:
    """Requests per second of clock time."""
    urls = [f"{case.scheme}://{_HOST}{path}" for path in ("/", "/cart/1", "/user", "/pay/2/3")]
    line = ["taskset", "--cpu-list", str(_OTHERS_CPU), "h2load", *case.options, f"-n{_REQUESTS}"]
    line += [f"-c{_CONNECTIONS}", "-t1", f"--connect-to={to[0]}:{to[1]}", *urls]
    done = lab.exec(_CLIENT, line, _PATIENCE_S)
    return _rate(done.stdout)


def _rate(said: str) -> float:
    """Raises TestbedError where not all was answered."""
    rate = re.search(r"finished in .*?, ([\d.]+) req/s", said)
    codes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", said)
    if rate is None or codes is None or any(map(int, codes.groups()[1:])):
        raise TestbedError(f"h2load was not answered: {said}")
    return float(rate[1])
