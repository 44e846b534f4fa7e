"""Mininet in a process of the lab: machines are its hosts and switches, made by its API, and its CLI is there.

`python -m testbed.runtime.mininet_process FD SOCKET`: requests come by the descriptor, a JSON object a line;
users of the CLI by the UNIX socket (`mininet_cli`). Cables are made by the lab, which tells of them (`wire`).
Mininet itself would write the host's sysctls and clean up by name: neither is ever called.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # distutils, which newer interpreters get from setuptools
    from mininet.link import Intf, Link
    from mininet.net import Mininet
    from mininet.node import Host, Node, Switch

from testbed.runtime.mininet_cli import Lines, Terminal, lines_of, speak
from testbed.runtime.mininet_user import HEARD


class Alive(Node):  # type: ignore[misc]
    """A node whose power may have been cut: then its shell is dead, and would never answer."""

    def cmd(self, *args: Any, **kwargs: Any) -> str:
        """What the command prints; of a stopped machine nothing."""
        return super().cmd(*args, **kwargs) if self.alive else ""

    @property
    def alive(self) -> bool:
        return self.shell is not None and self.shell.poll() is None

    def pexec(self, *args: Any, **kwargs: Any) -> tuple[str, str, int]:
        """(standard output, standard error, exit code)."""
        return super().pexec(*args, **kwargs) if self.alive else ("", "stopped", 1)


class LabHost(Alive, Host):  # type: ignore[misc]
    """A node of the cluster, an outside host or a router."""


class LabSwitch(Alive, Switch):  # type: ignore[misc]
    """A switch: a namespace of its own, with a bridge in it."""

    def start(self, controllers: Any) -> None:
        """`switch NAME start` of the CLI."""
        self.cmd("ip link set br0 up")

    def stop(self, deleteIntfs: bool = True) -> None:  # noqa: N803 - Mininet's name
        """`switch NAME stop` of the CLI: it forwards nothing. The lab takes switches away by `remove`."""
        self.cmd("ip link set br0 down")

    def dpctl(self, *args: str) -> str:
        """`dpctl` of the CLI is for OpenFlow; a bridge is asked by `bridge`."""
        return self.cmd("bridge", *args)


class LabIntf(Intf):  # type: ignore[misc]
    """An interface that the lab has made. The kernel knows Mininet's name as another name of it."""

    def config(self, **params: Any) -> dict[str, Any]:
        """Nothing: the lab has given it its addresses."""
        return {}

    def updateIP(self) -> str | None:  # noqa: N802 - Mininet's name
        """Its address; `ifconfig`, which Mininet would ask, knows it by the other name only."""
        return self.ip  # type: ignore[no-any-return]


class LabLink(Link):  # type: ignore[misc]
    """A cable that the lab has made."""

    def __init__(self, first: LabIntf, second: LabIntf) -> None:
        self.intf1, self.intf2 = first, second
        first.link = second.link = self


class LabNet(Mininet):  # type: ignore[misc]
    """All machines of a lab. `on_link` is told what the CLI's `link` asks for: (end, end, "up" or "down")."""

    def __init__(self, on_link: Callable[[str, str, str], str]) -> None:
        Mininet.inited = True  # no limits are raised: they would be the whole machine's
        super().__init__(host=LabHost, switch=LabSwitch, controller=None, build=False)
        self._on_link = on_link

    def configLinkStatus(self, src: str, dst: str, status: str) -> None:  # noqa: N802 - Mininet's name
        """The CLI's `link`: the lab cuts and heals cables, so that its account of them is right."""
        from mininet.log import error

        refused = self._on_link(src, dst, status)
        if refused:
            error(refused + "\n")

    def create(self, name: str, switch: bool) -> int:
        """A new machine in place of one of that name; the pid of its shell, which sits in its namespace."""
        self.remove(name)
        if not switch:
            return int(self.addHost(name, ip=None).pid)
        # dpid: OpenFlow's number, of which bridges have none. Mininet would read it off the name.
        return int(self.addSwitch(name, inNamespace=True, dpid="0").pid)

    def remove(self, name: str) -> None:
        """Take a machine away, its namespace with it once nobody else holds it."""
        node = self.nameToNode.pop(name, None)
        if node is None:
            return
        for nodes in (self.hosts, self.switches):
            if node in nodes:
                nodes.remove(node)
        with suppress(ProcessLookupError):
            os.killpg(node.pid, signal.SIGKILL)
        node.shell.wait()
        for known in (node.inToNode, node.outToNode):
            known.pop(node.stdin.fileno(), None)
        node.cleanup()

    def wire(self, cables: Iterable[list[list[Any]]]) -> None:
        """Know these cables and no others: two ends each, (machine, name, port, address or "", MAC)."""
        self.links = []
        for node in self.nameToNode.values():
            node.intfs, node.ports, node.nameToIntf = {}, {}, {}
        for ends in cables:
            first, second = (self._interface(*end) for end in ends)
            self.links.append(LabLink(first, second))

    def _interface(self, machine: str, name: str, port: int, address: str, mac: str) -> LabIntf:
        node = self.nameToNode[machine]
        intf = LabIntf(name, node, port, mac=mac, moveIntfFn=lambda *_: None)
        if address:
            intf.ip, _, prefix = address.partition("/")
            intf.prefixLen = int(prefix)
        return intf


class _Requests:
    """The lab's side: carried out one after the other, in a thread of their own."""

    def __init__(self, sock: socket.socket) -> None:
        self._stream = sock.makefile("rw")
        self._saying = threading.Lock()
        self._asked: queue.Queue[str] = queue.Queue()
        self.net = LabNet(self._ask)

    def serve(self) -> None:
        """Until the lab ends."""
        for line in self._stream:
            request = json.loads(line)
            if "linked" in request:
                self._asked.put(request["linked"])
                continue
            try:
                answer = self._carry_out(request)
            except Exception as error:  # said to the lab, which says it to its user
                answer = {"error": str(error) or type(error).__name__}
            self._say(answer)
        os._exit(0)

    def _carry_out(self, request: dict[str, Any]) -> dict[str, Any]:
        match request["do"]:
            case "create":
                return {"pid": self.net.create(request["name"], request["switch"])}
            case "remove":
                self.net.remove(request["name"])
            case "wire":
                self.net.wire(request["cables"])
        return {}

    def _say(self, answer: dict[str, Any]) -> None:
        with self._saying:
            self._stream.write(json.dumps(answer) + "\n")
            self._stream.flush()

    def _ask(self, src: str, dst: str, status: str) -> str:
        """Have the lab cut or join a cable; why it did not, or ""."""
        self._say({"link": [src, dst, status]})
        return self._asked.get()


def main() -> None:
    """Serve requests, and one user of the CLI at a time."""
    requests = _Requests(socket.socket(fileno=int(sys.argv[1])))
    path = Path(sys.argv[2])
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()
    speak()
    threading.Thread(target=requests.serve, daemon=True).start()
    while True:
        with suppress(KeyboardInterrupt):  # of a session that has just ended
            user, _ = listener.accept()
            with user:
                _session(requests.net, user)


def _session(net: LabNet, user: socket.socket) -> None:
    """One user's line, or all that one types."""
    data, fds, _, _ = socket.recv_fds(user, 65536, 3)
    if len(fds) != 3:
        return
    user.sendall(HEARD)
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(user, over), daemon=True)
    watcher.start()
    before = [os.dup(fd) for fd in range(3)]
    code = 1
    try:
        for target, fd in enumerate(fds):
            os.dup2(fd, target)
            os.close(fd)
        words = json.loads(data)["words"]
        typed = not words and os.isatty(0)
        # The one before remembers the end of what its user typed.
        sys.stdin = os.fdopen(0, closefd=False)
        code = (Terminal(net) if typed else Lines(net, lines_of(net, words))).code
    except KeyboardInterrupt:
        code = 130
    finally:
        over.set()
        _settle(net)
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        for target, fd in enumerate(before):
            os.dup2(fd, target)
            os.close(fd)
    with suppress(OSError):
        user.sendall(json.dumps({"code": code}).encode())


def _watch(user: socket.socket, over: threading.Event) -> None:
    """Interrupt the session when its user presses Ctrl-C (a byte) or has gone."""
    while True:
        try:
            data = user.recv(1)
        except OSError:
            return
        if over.is_set():
            return
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        if not data:
            return


def _settle(net: LabNet) -> None:
    """Stop what an interrupted command has left running in machines' shells."""
    for node in list(net.nameToNode.values()):
        while node.waiting and node.alive:
            node.sendInt()
            node.waitOutput()
        node.waiting = False


if __name__ == "__main__":
    main()
