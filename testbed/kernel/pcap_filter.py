"""A filter as people write it (pcap-filter(7)), compiled by libpcap to what the kernel runs."""

from __future__ import annotations

import ctypes
import ctypes.util

from testbed.errors import MissingFeature, UsageError

Instruction = tuple[int, int, int, int]
"""(code, jump if true, jump if false, constant) of classic BPF."""

_ETHERNET = 1
_SNAPSHOT_BYTES = 262_144
_NETMASK_UNKNOWN = 0xFFFFFFFF
_NAMES = ("libpcap.so.0.8", "libpcap.so.1")


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_ushort),
        ("jt", ctypes.c_ubyte),
        ("jf", ctypes.c_ubyte),
        ("k", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("len", ctypes.c_uint), ("instructions", ctypes.POINTER(_Instruction)))


def compiled(text: str) -> tuple[Instruction, ...]:
    """The program of a filter for Ethernet frames.

    Raises UsageError with libpcap's own words, MissingFeature where libpcap is not installed.
    """
    pcap = _library()
    handle = pcap.pcap_open_dead(_ETHERNET, _SNAPSHOT_BYTES)
    try:
        program = _Program()
        failed = pcap.pcap_compile(
            handle, ctypes.byref(program), text.encode(), 1, _NETMASK_UNKNOWN
        )
        if failed:
            said = pcap.pcap_geterr(handle).decode()
            raise UsageError(
                f"not a filter: {text!r}: {said}", "write it like `tcp port 80 and host 10.244.1.2`"
            )
        found = [program.instructions[at] for at in range(program.len)]
        code = tuple((one.code, one.jt, one.jf, one.k) for one in found)
        pcap.pcap_freecode(ctypes.byref(program))
        return code
    finally:
        pcap.pcap_close(handle)


def _library() -> ctypes.CDLL:
    for name in (*_NAMES, ctypes.util.find_library("pcap")):
        try:
            library = ctypes.CDLL(name or "")
        except OSError:
            continue
        if name:
            library.pcap_open_dead.restype = ctypes.c_void_p
            library.pcap_geterr.restype = ctypes.c_char_p
            library.pcap_geterr.argtypes = [ctypes.c_void_p]
            library.pcap_close.argtypes = [ctypes.c_void_p]
            library.pcap_compile.argtypes = [
                ctypes.c_void_p,
                ctypes.c_void_p,
                ctypes.c_char_p,
                ctypes.c_int,
                ctypes.c_uint32,
            ]
            return library
    raise MissingFeature(
        "a capture filter needs libpcap", "apt-get install --no-install-recommends libpcap0.8"
    )
