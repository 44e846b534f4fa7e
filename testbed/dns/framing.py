"""DNS over TCP: every message with its length in front (RFC 1035 section 4.2.2)."""

from __future__ import annotations

MAX_MESSAGE = 0xFFFF


def framed(packet: bytes) -> bytes:
    """A message as it goes into a TCP stream."""
    return len(packet).to_bytes(2, "big") + packet


class Unframer:
    """Messages out of a TCP stream, whole, however it was cut into pieces."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes."""
        buffer = self._buffer + data
        packets = []
        at = 0
        while len(buffer) >= at + 2:
            end = at + 2 + int.from_bytes(buffer[at : at + 2], "big")
            if len(buffer) < end:
                break
            packets.append(buffer[at + 2 : end])
            at = end
        self._buffer = buffer[at:]
        return packets
