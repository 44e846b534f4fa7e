"""The smallest program there is to hold a namespace: it sleeps, and leaves no zombies.

Images need not have any program that waits for ever, and a pod's sandbox has no image at all. What Kubernetes
has its `pause` image for are two system calls; they are written down here instead of asking for a compiler.
"""

from __future__ import annotations

import io
import os
import struct
import tarfile

from testbed.errors import MissingFeature

PATH = "/testbed-pause"
_BASE, _HEADERS = 0x400000, 64 + 56
_IGNORE = struct.pack("<QQQQ", 1, 0, 0, 0)
"""struct sigaction of the kernel: SIG_IGN, so that the kernel reaps what ends."""


def _x86_64() -> tuple[int, bytes]:
    code = (
        b"\xb8\x0d\x00\x00\x00"  # mov eax, 13 (rt_sigaction)
        b"\xbf\x11\x00\x00\x00"  # mov edi, 17 (SIGCHLD)
        b"\x48\x8d\x35\x13\x00\x00\x00"  # lea rsi, [rip+19]: what follows the code
        b"\x31\xd2"  # xor edx, edx
        b"\x41\xba\x08\x00\x00\x00"  # mov r10d, 8 (bytes of a signal mask)
        b"\x0f\x05"  # syscall
        b"\xb8\x22\x00\x00\x00"  # mov eax, 34 (pause)
        b"\x0f\x05"  # syscall
        b"\xeb\xf7"  # jmp to the mov before
    )
    return 62, code


def _aarch64() -> tuple[int, bytes]:
    words = (
        0xD2800220,  # mov x0, 17 (SIGCHLD)
        0x100001C1,  # adr x1, +56: what follows the code
        0xD2800002,  # mov x2, 0
        0xD2800103,  # mov x3, 8 (bytes of a signal mask)
        0xD28010C8,  # mov x8, 134 (rt_sigaction)
        0xD4000001,  # svc 0
        0xD2800000,  # mov x0, 0
        0xD2800001,  # mov x1, 0
        0xD2800002,  # mov x2, 0
        0xD2800003,  # mov x3, 0
        0xD2800004,  # mov x4, 0
        0xD2800928,  # mov x8, 73 (ppoll)
        0xD4000001,  # svc 0
        0x17FFFFF9,  # b to `mov x0, 0`
        0xD503201F,  # nop
    )
    return 183, struct.pack(f"<{len(words)}I", *words)


_MACHINES = {"x86_64": _x86_64, "aarch64": _aarch64}


def program(machine: str = "") -> bytes:
    """A static ELF executable for a machine, as `uname -m` names it. Raises MissingFeature."""
    machine = machine or os.uname().machine
    if machine not in _MACHINES:
        raise MissingFeature(
            f"runtime docker has no pause program for {machine}", "use runtime: netns"
        )
    number, code = _MACHINES[machine]()
    text = code + _IGNORE
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = struct.pack(
        "<HHIQQQIHHHHHH", 2, number, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    size = _HEADERS + len(text)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return ident + header + segment + text


def archive(machine: str = "") -> bytes:
    """A tar file that holds it: what the daemon copies into a container, or makes an image of."""
    content = program(machine)
    entry = tarfile.TarInfo(PATH.lstrip("/"))
    entry.size, entry.mode = len(content), 0o755
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
