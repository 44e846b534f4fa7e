"""A client's connection to the control socket, passed on to another kernel: requests there, answers back.

The host's door and the guest's visitor (`carrier`, `carried`) are one each, and say how a request is passed on;
what its command reads and writes is pumped beside, until its answer comes.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from typing import Any

from testbed.sandbox.pumps import Pump


class Relay:
    """`asking` is where requests come from and answers go to, `answering` the other way round."""

    def __init__(
        self, asking: socket.socket, answering: socket.socket, finish: Callable[[Pump], None]
    ) -> None:
        """`finish` sees to it that all a pump has of a command is passed on before the command's answer."""
        self.asking = asking
        self.answering = answering
        self._finish = finish
        self._pumps: dict[int, list[Pump]] = {}
        """Streams of the calls that have not been answered, by the call's id."""

    def pumps_of(self, request: dict[str, Any]) -> list[Pump]:
        """Where a call's streams are to be noted, before it is passed on."""
        return self._pumps.setdefault(int(request["id"]), [])

    def serve(self, pass_requests: Callable[[], None]) -> None:
        """Until either end closes; `pass_requests` returns, or raises OSError, when the asking one has."""
        answers = threading.Thread(target=self._answers, daemon=True)
        answers.start()
        with contextlib.suppress(OSError):
            pass_requests()
        for sock in (self.answering, self.asking):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        answers.join()
        for pumps in self._pumps.values():
            for pump in pumps:
                pump.cut()
        self.answering.close()
        self.asking.close()

    def _answers(self) -> None:
        with contextlib.suppress(OSError), self.answering.makefile("rb") as lines:
            for line in lines:
                if self._pumps:
                    self._settle(json.loads(line))
                self.asking.sendall(line)
        with contextlib.suppress(OSError):
            self.asking.shutdown(socket.SHUT_RDWR)

    def _settle(self, message: dict[str, Any]) -> None:
        if "progress" in message:
            return
        for pump in self._pumps.pop(int(message["id"]), ()):
            self._finish(pump)
