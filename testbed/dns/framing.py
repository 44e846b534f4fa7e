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
        while len(buffer) >= 2 and len(buffer) >= (end := 2 + int.from_bytes(buffer[:2], "big")):
            packets.append(buffer[2:end])
            buffer = buffer[end:]
        self._buffer = buffer
        return packets
