"""Look-ups over sockets: what becomes of each, and what servers count meanwhile."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from testbed.dns.libc import LIBRARIES
from testbed.dns.lookups import COLUMNS, UNFINISHED, Counters, Wait, batches, streams, totals
from testbed.dns.resolving import Resolving
from testbed.dns.search import ResolvConf, pod_resolv_conf
from testbed.errors import UsageError
from testbed.model.objects.services import Service
from tests.unit.dns.running import LOOPBACK, RunningServer
from tests.unit.ports import free_port

POD = pod_resolv_conf("default", "cluster.local", (LOOPBACK,))
PAGE = """# TYPE coredns_dns_requests_total counter
coredns_dns_requests_total{server="dns://:53",type="A"} 3
coredns_dns_requests_total{server="dns://:53",type="AAAA"} 4.0
coredns_dns_requests_total_of_another 9
coredns_panics_total 1
"""


def test_counters_are_summed_over_their_labels() -> None:
    wanted = ("coredns_dns_requests_total", "coredns_panics_total", "nobody_counts_it")
    assert totals(PAGE, wanted) == dict(zip(wanted, (7.0, 1.0, 0.0), strict=True))


def test_a_metric_with_labels_is_that_of_the_series_that_have_them() -> None:
    name = "coredns_dns_requests_total"
    wanted = [name, f'{name}{{type="A"}}', f'{name}{{type="AAAA",server="dns://:53"}}']
    wanted.append(f'{name}{{type="PTR"}}')
    assert totals(PAGE, wanted) == dict(zip(wanted, (7.0, 3.0, 4.0, 0.0), strict=True))


@pytest.mark.parametrize("library", [name for name in LIBRARIES if name != "glibc/rotate"])
def test_a_batch_looks_a_name_up_again_and_again(
    server: RunningServer, web: Service, library: str
) -> None:
    server.sync(web)
    server.await_sync()
    jobs = [
        {"library": library, "name": "web", "lookups": 3},
        {"library": library, "name": "nope", "lookups": 1, "ndots": 1, "timeout_s": 1.0},
    ]
    found, missing = batches(Resolving(server.port), jobs, POD)
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in found["rows"]]
    assert [(row["outcome"], row["address"]) for row in rows] == [("ok", "10.96.1.1")] * 3
    assert [row["start_ns"] for row in rows] == sorted(row["start_ns"] for row in rows)
    assert all(row["took_ns"] > 0 and row["sent"] == 2 for row in rows)
    assert missing["rows"][0][COLUMNS.index("outcome")] != "ok"


def test_a_stream_goes_on_until_it_is_stopped(server: RunningServer, web: Service) -> None:
    server.sync(web)
    server.await_sync()
    over = threading.Event()

    def stop_when_asked(silent: socket.socket) -> None:
        try:
            for _ in range(2 * 10):  # A and AAAA of each look-up
                silent.recv(512)
        finally:
            over.set()

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.2", server.port))
        silent.settimeout(60)
        never = {"nameservers": ["127.0.0.2"], "timeout_s": 3600.0}
        jobs = [
            {"library": "glibc", "name": "web", "rate_rps": 200},
            {"library": "musl", "name": "web", "rate_rps": 50, **never},
        ]
        resolving = Resolving(server.port)
        threading.Thread(target=stop_when_asked, args=(silent,), daemon=True).start()
        answered, waiting = streams(resolving, jobs, POD, Wait(over, 0.0))
    assert {row[COLUMNS.index("outcome")] for row in answered["rows"]} <= {"ok", UNFINISHED}
    assert {row[COLUMNS.index("outcome")] for row in waiting["rows"]} == {UNFINISHED}
    assert len(waiting["rows"]) >= 10
    assert answered["rows"]
    starts = [row[0] for row in answered["rows"] + waiting["rows"]]
    assert len(starts) == len(set(starts))


def test_icmp_errors_end_a_look_up_of_glibc_at_once() -> None:
    conf = ResolvConf((LOOPBACK,), timeout_s=3600.0)
    [job] = batches(
        Resolving(free_port()), [{"library": "glibc", "name": "web", "lookups": 1}], conf
    )
    row = dict(zip(COLUMNS, job["rows"][0], strict=True))
    assert (row["outcome"], row["sent"] >= 2) == ("try-again", True)


def test_as_a_program_it_reads_resolv_conf_and_counters(
    server: RunningServer, web: Service, tmp_path: Path
) -> None:
    server.sync(web)
    server.await_sync()
    (tmp_path / "resolv.conf").write_text(POD.text())
    with socket.create_server((LOOPBACK, 0)) as counting:
        answer = f"HTTP/1.0 200 OK\r\n\r\n{PAGE}".encode()

        def serve() -> None:
            for _ in range(2):
                sock, _ = counting.accept()
                with sock:
                    sock.recv(4096)
                    sock.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        jobs = {
            "resolv_conf": str(tmp_path / "resolv.conf"),
            "port": server.port,
            "counters": {
                "servers": [counting.getsockname()],
                "metrics": ["coredns_dns_requests_total"],
            },
            "batches": [{"library": "musl", "name": "web", "lookups": 2}],
            "streams": [{"library": "glibc", "name": "web", "rate_rps": 100}],
            "drain_s": 1,
        }
        done = subprocess.run(
            [sys.executable, "-m", "testbed.dns.lookups", json.dumps(jobs)],
            input=b"",
            capture_output=True,
            check=True,
            timeout=300,
        )
    started, printed = done.stdout.splitlines()
    assert started == b"started"
    found = json.loads(printed)
    assert found["batches"][0]["counted"] == {LOOPBACK: {"coredns_dns_requests_total": 0.0}}
    assert len(found["batches"][0]["rows"]) == 2
    assert [stream["name"] for stream in found["streams"]] == ["web"]


def test_unknown_libraries_and_silent_counters_are_said() -> None:
    with pytest.raises(UsageError, match="no C library 'uclibc'"):
        batches(Resolving(), [{"library": "uclibc", "name": "web", "lookups": 1}], POD)
    with socket.create_server((LOOPBACK, 0)) as counting:
        port = counting.getsockname()[1]

        def refuse() -> None:
            sock, _ = counting.accept()
            sock.recv(4096)
            sock.sendall(b"HTTP/1.0 404 Not Found\r\n\r\n")
            sock.close()

        threading.Thread(target=refuse, daemon=True).start()
        with pytest.raises(OSError, match="404 Not Found"):
            Counters([(LOOPBACK, port)], ["x"]).read()
