"""pcapng: what is written is read again, by us and by libpcap."""

from __future__ import annotations

import ctypes
from io import BytesIO
from pathlib import Path

import pytest

from testbed.errors import UsageError
from testbed.kernel.pcap_filter import compiled
from testbed.packets.pcapng import (
    Frame,
    Interface,
    NotPcapngError,
    frame_block,
    interface_block,
    read,
    section,
)
from tests.addresses import PLAN
from tests.unit.packets.frames import ethernet, ip, tcp

NANOSECOND_PRECISION = 1
T_NS = 1_795_273_576_901_223_451
FRAME = ethernet(ip(PLAN.pods["web-1"], PLAN.pods["web-0"], "tcp", tcp(40000, 80, "S")))
BLOCKS: tuple[Interface | Frame, ...] = (
    Interface("client-0/eth0", about="pod default/client-0 on n1"),
    Frame(0, T_NS, "out", FRAME, len(FRAME)),
    Interface("n1/pod100"),
    Frame(1, T_NS + 1, "in", FRAME + b"x", len(FRAME) + 1, comment="hop 2"),
)


def written() -> bytes:
    parts = [
        interface_block(one) if isinstance(one, Interface) else frame_block(one) for one in BLOCKS
    ]
    return section() + b"".join(parts)


def test_what_is_written_is_read() -> None:
    assert tuple(read(BytesIO(written()))) == BLOCKS


def test_an_interface_knows_its_machine() -> None:
    assert Interface("shop/client-0/eth0").machine == "shop/client-0"


def test_a_file_that_is_cut_off_is_read_up_to_there() -> None:
    whole = written()
    for size in range(len(section()), len(whole)):
        found = tuple(read(BytesIO(whole[:size])))
        assert found == BLOCKS[: len(found)]
        assert len(found) < len(BLOCKS)


@pytest.mark.parametrize("data", [b"GIF89a..", section() + section(), b"\n\r\r\n\x01\0\0\0"])
def test_what_is_no_capture_is_refused(data: bytes) -> None:
    with pytest.raises(NotPcapngError):
        tuple(read(BytesIO(data)))


class _Head(ctypes.Structure):
    _fields_ = (
        ("s", ctypes.c_long),
        ("ns", ctypes.c_long),
        ("captured", ctypes.c_uint32),
        ("length", ctypes.c_uint32),
    )


def test_libpcap_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "x.pcapng"
    path.write_bytes(written())
    pcap = ctypes.CDLL("libpcap.so.0.8")
    pcap.pcap_open_offline_with_tstamp_precision.restype = ctypes.c_void_p
    said = ctypes.create_string_buffer(256)
    handle = ctypes.c_void_p(
        pcap.pcap_open_offline_with_tstamp_precision(str(path).encode(), NANOSECOND_PRECISION, said)
    )
    assert handle.value, said.value
    head, data = ctypes.POINTER(_Head)(), ctypes.c_void_p()
    found = []
    while pcap.pcap_next_ex(handle, ctypes.byref(head), ctypes.byref(data)) == 1:
        one = head.contents
        t_ns = one.s * 1_000_000_000 + one.ns
        found.append((t_ns, ctypes.string_at(data.value or 0, one.captured), one.length))
    pcap.pcap_close(handle)
    assert found == [(one.t_ns, one.data, one.length) for one in BLOCKS if isinstance(one, Frame)]


def test_a_filter_is_compiled() -> None:
    assert compiled("tcp port 80")[-1][0] == 6  # it ends by returning
    assert compiled("tcp port 80") != compiled("tcp port 81")


def test_what_is_no_filter_is_refused_in_libpcaps_words() -> None:
    with pytest.raises(UsageError, match="syntax error"):
        compiled("tcp prot 80")
