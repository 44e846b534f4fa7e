"""What is kept of a container's output."""

from __future__ import annotations

import asyncio
import os

from testbed.lab.container_log import MAX_BYTES, ContainerLog


async def _logged(*pieces: bytes) -> ContainerLog:
    log = ContainerLog()
    read, write = os.pipe()
    log.read_from(read, "stdout")
    for piece in pieces:
        view = memoryview(piece)
        while view:
            view = view[os.write(write, view[:60_000]) :]
            log.drain()
    os.close(write)
    log.drain()
    return log


def _lines(*pieces: bytes) -> list[bytes]:
    return [line.text for line in asyncio.run(_logged(*pieces)).lines]


def test_lines_are_put_together() -> None:
    assert _lines(b"a\nb", b"c\n", b"no end") == [b"a\n", b"bc\n", b"no end"]


def test_a_long_line_is_kept_in_pieces() -> None:
    found = _lines(b"x" * 40_000, b"\n")
    assert len(found) > 1
    assert b"".join(found) == b"x" * 40_000 + b"\n"


def test_only_the_last_of_it_is_kept() -> None:
    log = asyncio.run(_logged(b"0123456789abcde\n" * (MAX_BYTES // 8)))
    assert sum(len(line.text) for line in log.lines) <= MAX_BYTES
    assert log.dropped + len(log.lines) == MAX_BYTES // 8
    assert log.over
    assert log.tail(2, 100) == "0123456789abcde\n" * 2


def test_whoever_listens_hears_it_as_it_comes() -> None:
    async def scenario() -> tuple[list[tuple[str, bytes]], list[tuple[str, bytes]]]:
        log, heard = ContainerLog(), list[tuple[str, bytes]]()
        read, write = os.pipe()
        log.read_from(read, "stderr")
        os.write(write, b"before\nhal")
        log.drain()
        before = log.so_far()
        log.listeners.append(lambda stream, data: heard.append((stream, data)))
        os.write(write, b"f\n")
        log.drain()
        os.close(write)
        await log.changed.wait()
        return before, heard

    before, heard = asyncio.run(scenario())
    assert before == [("stderr", b"before\n"), ("stderr", b"hal")]
    assert heard == [("stderr", b"f\n"), ("stderr", b"")]
