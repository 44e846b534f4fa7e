"""The DNS server of a pod: a Corefile's chain behind sockets, fed with what changes by the supervisor."""

from __future__ import annotations

import fcntl
import json
import os
import random
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from testbed import __version__
from testbed.clock import now_s
from testbed.dns.chain import Chain, Planned, planned
from testbed.dns.cluster_names import ClusterNames
from testbed.dns.corefile import CorefileError
from testbed.dns.dialling import Dialling
from testbed.dns.loop import SelectorLoop
from testbed.dns.metrics import Metrics
from testbed.dns.pages import HttpPages
from testbed.dns.plugin_cfg import PLUGIN_CFG
from testbed.dns.serving import Serving
from testbed.dns.supervisor import Supervisor
from testbed.dns.surroundings import Names, Surroundings
from testbed.dns.zone_options import ZoneOptions
from testbed.model.objects.endpoint_slices import SERVICE_NAME_LABEL, EndpointSlice

_LOG_BYTES = 1 << 20
"""Of lines that nobody has read yet; those that are too many are lost."""


def main(config: dict[str, Any], channel: socket.socket) -> None:
    """Serve until SIGTERM (and `health`'s lameduck is over) or until `channel` closes.

    `config`: {"listen": [address, …], "corefile": text}, and perhaps "port" (instead of the Corefile's; 0:
    any), "files" ({"/etc/hosts": path, …}), "order" (of plug-ins) and "log" (path of a pipe). Says {"ready":
    true, "port": n, "pods": whether it wants to hear of pods} once it listens, and {"pods": true} where it
    wants to later. A line of `channel` is what `ClusterNames.hear` takes in, or {"corefile": text}: what the
    file holds now.
    Where a port cannot be had, or the Corefile is no good, it prints why and ends with code 1.
    """
    if "log" in config:
        _print_to(config["log"])
    try:
        server = ChainServer(config)
    except (CorefileError, OSError, ValueError) as error:
        where = "Corefile:" if isinstance(error, CorefileError) else ""
        print(f"[FATAL] {where}{error}", file=sys.stderr, flush=True)
        raise SystemExit(1) from None
    supervisor = Supervisor(server.loop, channel, server.hear, server.end)
    said = {"ready": True, "port": server.serving.port, "pods": server.plan.watches_pods}
    channel.sendall(json.dumps(said).encode() + b"\n")
    server.tell = lambda message: channel.sendall(json.dumps(message).encode() + b"\n")
    while not (supervisor.ended or server.ended):
        server.serving.turn()


class ChainServer:
    """A chain, what it answers from, and the sockets that it answers at."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.loop = SelectorLoop(self._recovered)
        self.ended = False
        self.tell: Callable[[dict[str, Any]], None] = lambda message: None
        self._files: dict[str, str] = config.get("files", {})
        self._names = ClusterNames()
        self._metrics = Metrics()
        self._pages = HttpPages(self.loop)
        self._lost = 0
        self._file = self._in_force = config["corefile"]
        self._order: Sequence[str] = config.get("order", PLUGIN_CFG)
        self.plan = planned(self._file, self._order)
        self._chain = self._made(self.plan)
        listen = self.plan.addresses or config["listen"]
        port = config.get("port", self.plan.port)
        self.serving = Serving(self.loop, self._chain.serve, listen, port)
        self._metrics.before[self] = self.serving.tell
        self._metrics.set("coredns_build_info", (__version__, "", ""), 1)
        for block in self.plan.blocks:
            for zone in block.zones:
                self.say(f"{zone}.:{block.port}")
        self._look_later()

    def hear(self, message: dict[str, Any]) -> None:
        """What the supervisor says."""
        if "corefile" in message:
            self._file = message["corefile"]
        else:
            self.serving.forget(self._names.hear(message))
            if "written_ns" in message:
                self._programmed(message)

    def _programmed(self, message: dict[str, Any]) -> None:
        """Note how long the endpoints of headless services took to be names (CoreDNS counts no others)."""
        took_s = now_s() - message["written_ns"] / 1e9
        for change in message.get("changes", ()):
            item = change["object"]
            if item["kind"] != EndpointSlice.kind:
                continue
            name = item["metadata"].get("labels", {}).get(SERVICE_NAME_LABEL, "")
            service = self._names.service(item["metadata"]["namespace"], name)
            if service is not None and service.headless and service.selector:
                self._metrics.observe(
                    "coredns_kubernetes_dns_programming_duration_seconds",
                    ("headless_with_selector",),
                    took_s,
                )

    def end(self) -> None:
        """Go on for as long as `health` says, and then no more; at once when told a second time."""
        life = self._chain.life
        if life.ending or not life.lameduck_s:
            self.ended = True
        life.ending = True
        self.loop.later(life.lameduck_s, self._over)

    def say(self, line: str) -> None:
        """A line of the log, on standard error. It is lost where nobody reads fast enough: the next says so."""
        text = f"{line}\n"
        if self._lost:
            text = f"[WARNING] {self._lost} lines of this log are lost\n{text}"
        try:
            os.write(2, text.encode())
            self._lost = 0
        except OSError:  # no room in the pipe, or nobody at its end any more
            self._lost += 1

    def _recovered(self, error: Exception) -> None:
        """Somebody's callback failed: CoreDNS's words for a plug-in that panics."""
        self._metrics.count("coredns_panics_total")
        what = "".join(traceback.format_exception_only(error)).strip()
        stack = "\n" + "".join(traceback.format_tb(error.__traceback__)).rstrip()
        self.say(
            f'[ERROR] Recovered from panic in server: "dns://:{self.plan.port}" {what}'
            + (stack if self._chain.life.stacktrace else "")
        )

    def _over(self) -> None:
        self.ended = True

    def _made(self, plan: Planned) -> Chain:
        """Zones are kept from one Corefile to the next, as long as it has them."""
        used: set[ZoneOptions] = set()

        def names(options: ZoneOptions) -> Names:
            used.add(options)
            return self._names.under(options)

        self._metrics.forget("coredns_plugin_enabled")
        around = Surroundings(
            loop=self.loop,
            pages=self._pages,
            metrics=self._metrics,
            names=names,
            dial=Dialling(self.loop, self._metrics),
            say=self.say,
            below=random.randrange,
            read=lambda file: Path(self._files.get(file, file)).read_text(),
            give_up=self._give_up,
        )
        chain = Chain(plan, around)
        self._names.keep(used)
        return chain

    def _give_up(self, why: str) -> NoReturn:
        self.say(f"[FATAL] {why}")
        raise SystemExit(1)

    # The Corefile

    def _look_later(self) -> None:
        if (period := self._chain.life.reload_s) is not None:
            interval_s, jitter_s = period
            wait_s = interval_s + jitter_s * (2 * random.random() - 1)
            self.loop.later(wait_s, self._look)

    def _look(self) -> None:
        """Whether the Corefile is another one."""
        try:
            if self._file != self._in_force:
                self._take(self._file)
        finally:
            self._look_later()

    def _take(self, text: str) -> None:
        """Serve by another Corefile; one that is no good changes nothing."""
        self._in_force = text
        try:
            self._reload(planned(text, self._order))
            self.say("[INFO] Reloading complete")
        except (CorefileError, OSError, ValueError) as error:
            self._metrics.count("coredns_reload_failed_total")
            self.say(f"[ERROR] Corefile: {error}: the one before stays in force")

    def _reload(self, plan: Planned) -> None:
        """Raises OSError or ValueError where it cannot be: then the old plan is in force again."""
        if (plan.port, plan.addresses) != (self.plan.port, self.plan.addresses):
            raise ValueError("another port or bind: restart the pod for that")
        self._chain.close()
        self._pages.close()
        try:
            self._chain = self._made(plan)
            self.plan = plan
        except (OSError, ValueError):
            self._pages.close()
            self._chain = self._made(self.plan)
            raise
        finally:
            self.serving.serve_by(self._chain.serve)
        if plan.watches_pods:
            self.tell({"pods": True})


def _print_to(path: str) -> None:
    """What is printed goes into a pipe from now on, and waits for nobody."""
    fd = os.open(path, os.O_WRONLY)
    with suppress(OSError):  # an ordinary user may have too many of them
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _LOG_BYTES)
    os.set_blocking(fd, False)
    for stream in (1, 2):
        os.dup2(fd, stream)
    os.close(fd)
