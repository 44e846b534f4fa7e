"""Captures frames in many places of a lab at once, and writes them as pcapng: one process, a tap per place.

It is forked by the zygote, like the recorder.
"""

from __future__ import annotations

import os
import selectors
import socket
from collections.abc import Sequence
from typing import Any

from testbed.clock import now_s
from testbed.kernel import netns
from testbed.kernel.packet_socket import Seen, Tap
from testbed.packets.pcapng import (
    ETHERNET,
    RAW_IP,
    Frame,
    Interface,
    frame_block,
    interface_block,
    section,
)
from testbed.traffic.channel import TERMINATED, Channel

_LAST_ROUNDS = 64
"""What has come when a capture ends is written; what comes meanwhile does not keep it for ever."""


def main(config: dict[str, Any], channel: socket.socket) -> None:
    """Capture until told to stop, `count` frames or `duration_s` have passed, or nobody reads any more.

    `config`: {"places": [{"name", "netns", "about": {interface: text}}], "interface": only that one, "program":
    classic BPF, "output": path of a file or a pipe, "count", "duration_s"}. Says {"ready": true} once it
    listens everywhere, and {"done": {"frames": n, "lost": m}} at the end. An interface that a place
    does not have is {"error": …} before that.
    """
    control = Channel(channel)
    output = os.open(config["output"], os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        taps = [_Tapped(place, config) for place in config["places"]]
    except OSError as error:
        control.say({"error": error.strerror or str(error)})
        return
    writing = _Writing(output, config.get("count"))
    control.say({"ready": True})
    with selectors.DefaultSelector() as selector:
        for tapped in taps:
            selector.register(tapped.tap, selectors.EVENT_READ, tapped)
        for fd in control.fds:
            selector.register(fd, selectors.EVENT_READ)
        _run(selector, control, writing, config.get("duration_s"))
    for _ in range(_LAST_ROUNDS):
        if writing.full or not writing.write(taps):
            break
    lost = sum(tapped.tap.lost() for tapped in taps)
    os.close(output)
    control.say({"done": {"frames": writing.frames, "lost": lost}})


def _run(
    selector: selectors.BaseSelector, control: Channel, writing: _Writing, duration_s: float | None
) -> None:
    ends_s = None if duration_s is None else now_s() + duration_s
    while not writing.full:
        left_s = None if ends_s is None else ends_s - now_s()
        if left_s is not None and left_s <= 0:
            return
        ready = [key.data for key, _ in selector.select(left_s)]
        writing.write([tapped for tapped in ready if tapped is not None])
        if None in ready and any(
            message == TERMINATED or "stop" in message for message in control.receive()
        ):
            return


class _Tapped:
    """A place that is listened to."""

    def __init__(self, place: dict[str, Any], config: dict[str, Any]) -> None:
        self.name: str = place["name"]
        self.about: dict[str, str] = place.get("about", {})
        program = [tuple(one) for one in config.get("program") or ()]
        try:
            with netns.entered(place["netns"]):
                self.tap = Tap(config.get("interface") or "", program)
        except OSError as error:
            wanted = config.get("interface")
            said = f"{self.name} has no interface {wanted!r}" if wanted else f"{self.name}: {error}"
            raise OSError(error.errno, said) from error


class _Writing:
    """The file: declares each interface before its first frame."""

    def __init__(self, output: int, count: int | None) -> None:
        self.frames = 0
        self.full = False
        """As many frames as were asked for have come, or nobody reads any more."""
        self._output = output
        self._count = count
        self._interfaces: dict[tuple[str, bool], int] = {}
        self._put(section())

    def write(self, taps: Sequence[_Tapped]) -> int:
        """Write what these have, in the order of time as far as it came together; how many frames."""
        found = [(seen.t_ns, tapped, seen) for tapped in taps for seen in tapped.tap.take()]
        found.sort(key=lambda one: one[0])
        if self._count is not None:
            found = found[: self._count - self.frames]
        self._put(b"".join([self._block(tapped, seen) for _, tapped, seen in found]))
        self.frames += len(found)
        self.full = self.full or self.frames == self._count
        return len(found)

    def _block(self, tapped: _Tapped, seen: Seen) -> bytes:
        key = (f"{tapped.name}/{seen.interface}", seen.ethernet)
        declared = b""
        if key not in self._interfaces:
            self._interfaces[key] = len(self._interfaces)
            link_type = ETHERNET if seen.ethernet else RAW_IP
            about = tapped.about.get(seen.interface, "")
            declared = interface_block(Interface(key[0], link_type, about))
        place = self._interfaces[key]
        return declared + frame_block(Frame(place, seen.t_ns, seen.direction, seen.data))

    def _put(self, data: bytes) -> None:
        try:
            while data and not self.full:
                data = data[os.write(self._output, data) :]
        except BrokenPipeError:
            self.full = True
