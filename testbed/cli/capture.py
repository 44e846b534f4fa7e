"""`testbed capture N WHERE [-w FILE] [FILTER]`: packets of a place, as lines or as a pcapng file."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, BinaryIO

from testbed.cli.arguments import add_lab_argument, duration
from testbed.cli.main import EXIT_INTERRUPTED
from testbed.cli.output import add_output_option, emit, note
from testbed.errors import OutOfTimeOrRoom, UsageError

if TYPE_CHECKING:
    from testbed.lab.capturing import Capture, CaptureSpec
    from testbed.packets.pcapng import Frame, Interface

_STDOUT = "-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_lab_argument(parser)
    parser.add_argument(
        "where",
        metavar="WHERE",
        help="a node, [namespace/]pod, outside host, router or switch; several with commas; `all`: all but the "
        "last two",
    )
    parser.add_argument(
        "filter", nargs="*", metavar="FILTER", help="as tcpdump takes it: tcp port 80"
    )
    parser.add_argument("-i", "--interface", default="", metavar="IF", help="only this one (all)")
    parser.add_argument("-w", "--write", metavar="FILE", help="a pcapng file; - is standard output")
    parser.add_argument("--print", action="store_true", help="lines, too, while -w writes")
    parser.add_argument("-c", "--count", type=int, metavar="N", help="end after N packets")
    parser.add_argument("--duration", type=duration, metavar="D", help="end after that time: 10s")
    add_output_option(parser)


def run(args: argparse.Namespace) -> int:
    """0; 130 where Ctrl-C ended it before the count or the duration that was asked for.

    Without either, Ctrl-C is how a capture ends. Raises UsageError.
    """
    spec = spec_of(args)
    from testbed.lab.capturing import Capture
    from testbed.lab.client import Lab

    lab = Lab.attach(args.lab)
    with (
        Capture(lab, spec) as capture,
        _file(args.write) as file,
        _ended_by_ctrl_c(capture) as interrupted,
    ):
        note(_begun(spec))
        if file is not None and not args.print:
            shutil.copyfileobj(capture.stream, file)
        else:
            _show(args, capture, file)
        result = capture.result()
    note(_told(result, args.write))
    bounded = spec.count is not None or spec.duration_s is not None
    return EXIT_INTERRUPTED if interrupted and bounded else 0


def spec_of(args: argparse.Namespace) -> CaptureSpec:
    """What the arguments ask for. Raises UsageError."""
    from testbed.lab.capturing import CaptureSpec

    if args.write == _STDOUT and (args.print or args.output != "table"):
        raise UsageError("-w - writes packets to standard output", "leave --print and -o out")
    if args.write and args.output != "table" and not args.print:
        raise UsageError("-w prints nothing", "add --print, or leave -o out")
    where = tuple(name for name in args.where.split(",") if name)
    if not where:
        raise UsageError("capture where?", "name a node, a pod or a host, or say `all`")
    text = " ".join(args.filter)
    return CaptureSpec(where, args.interface, text, args.count, args.duration)


def _show(args: argparse.Namespace, capture: Capture, file: BinaryIO | None) -> None:
    from testbed.packets.decode import decode
    from testbed.packets.describe import line

    rows: list[dict[str, Any]] = []
    width = 0
    for interface, frame in _copied(capture, file):
        packet = decode(frame.data, interface.link_type)
        if args.output != "table":
            rows.append(_row(interface, frame))
            continue
        width = max(width, len(interface.name))
        print(line(frame.t_ns, interface.name, frame.direction, packet, width), flush=True)
    if args.output != "table":
        emit(args, rows)


def _copied(capture: Capture, file: BinaryIO | None) -> Iterator[tuple[Interface, Frame]]:
    """The frames of a capture, written to a file on their way."""
    from testbed.packets import pcapng

    known = 0
    if file is not None:
        file.write(pcapng.section())
    for interface, frame in capture.frames():
        if file is not None:
            if frame.interface == known:  # interfaces are declared in the order of first use
                file.write(pcapng.interface_block(interface))
                known += 1
            file.write(pcapng.frame_block(frame))
        yield interface, frame


def _row(interface: Interface, frame: Frame) -> dict[str, Any]:
    """A packet as JSON; `time_s` is since 1970."""
    from testbed.packets.decode import decode
    from testbed.packets.describe import content

    packet = decode(frame.data, interface.link_type)
    return {
        "time_s": frame.t_ns / 1e9,
        "interface": interface.name,
        "direction": frame.direction,
        "protocol": packet.protocol,
        "src": packet.source,
        "dst": packet.destination,
        "bytes": frame.length or len(frame.data),
        "info": content(packet),
    }


def _begun(spec: CaptureSpec) -> str:
    bounded = spec.count is not None or spec.duration_s is not None
    said = f"listening on {', '.join(spec.where)}" + (f", {spec.filter}" if spec.filter else "")
    return said if bounded else f"{said}; Ctrl-C ends it"


def _told(result: dict[str, Any], path: str | None) -> str:
    frames, lost = result["frames"], result["lost"]
    said = f"{frames} packet{'' if frames == 1 else 's'}"
    said += f" in {path}" if path and path != _STDOUT else ""
    return said + (f", {lost} lost: they came faster than they were read" if lost else "")


@contextmanager
def _file(path: str | None) -> Iterator[BinaryIO | None]:
    """Where to write packets; None: nowhere. Raises OutOfTimeOrRoom."""
    if path is None:
        yield None
    elif path == _STDOUT:
        yield sys.stdout.buffer
    else:
        with _opened(path) as file:
            yield file


def _opened(path: str) -> BinaryIO:
    try:
        return Path(path).open("wb")
    except OSError as error:
        raise OutOfTimeOrRoom(f"cannot write {path}: {error.strerror}") from error


@contextmanager
def _ended_by_ctrl_c(capture: Capture) -> Iterator[list[int]]:
    """The first Ctrl-C (or SIGTERM) asks the capture to end and is noted; a second one interrupts."""
    noted: list[int] = []

    def on_signal(signum: int, _: FrameType | None) -> None:
        noted.append(signum)
        signal.signal(signal.SIGINT, before)
        capture.stop()

    before = signal.signal(signal.SIGINT, on_signal)
    terminated = signal.signal(signal.SIGTERM, on_signal)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, before)
        signal.signal(signal.SIGTERM, terminated)
