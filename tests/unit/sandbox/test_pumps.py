"""Pumps: bytes of a command's input and outputs, over a socket."""

from __future__ import annotations

import fcntl
import os
import pty
import socket
import struct
import termios
import tty

from testbed.sandbox.pumps import Arrivals, Input, Keys, Output, Terminal


def test_an_output_goes_through_to_its_end() -> None:
    near, far = socket.socketpair()
    source, said = os.pipe()
    heard, sink = os.pipe()
    pumps = (Output(source, near), Arrivals(sink, far))
    os.write(said, b"one ")
    os.write(said, b"two")
    os.close(said)
    for pump in pumps:
        pump.join()
    assert os.read(heard, 100) == b"one two"
    assert os.read(heard, 100) == b""
    os.close(heard)


def test_an_output_that_is_stopped_has_said_what_was_written_before() -> None:
    near, far = socket.socketpair()
    source, said = os.pipe()
    os.write(said, b"last words")
    pump = Output(source, near)
    pump.stop()
    pump.join()
    with far:
        assert far.recv(100) == b"last words"
        assert far.recv(100) == b""
    os.close(said)


def test_an_input_that_is_stopped_reads_nothing_more() -> None:
    near, far = socket.socketpair()
    source, typed = os.pipe()
    pump = Input(os.dup(source), near)
    pump.stop()
    pump.join()
    os.write(typed, b"for the next command")
    assert os.read(source, 100) == b"for the next command"
    with far:
        assert far.recv(100) == b""
    os.close(source)
    os.close(typed)


def test_who_writes_learns_that_nobody_reads() -> None:
    near, far = socket.socketpair()
    source, said = os.pipe()
    heard, sink = os.pipe()
    os.close(heard)
    out, arrivals = Output(source, near), Arrivals(sink, far)
    os.write(said, b"into the void")
    arrivals.join()
    os.write(said, b"again")
    out.join()  # the socket is gone: it ends, though its descriptor has not
    os.close(said)


def test_a_terminal_s_keys_and_size_arrive() -> None:
    near, far = socket.socketpair()
    keyboard, terminal = pty.openpty()
    tty.setraw(terminal)
    size = struct.pack("HHHH", 33, 101, 0, 0)
    fcntl.ioctl(keyboard, termios.TIOCSWINSZ, size)
    master, slave = pty.openpty()
    tty.setraw(slave)
    typing, keys = Terminal(terminal, near), Keys(master, far)
    os.write(keyboard, b"ls\n")
    assert os.read(slave, 100) == b"ls\n"
    assert fcntl.ioctl(slave, termios.TIOCGWINSZ, bytes(8)) == size
    typing.stop()
    typing.join()
    keys.join()
    os.close(keyboard)
    os.close(slave)
