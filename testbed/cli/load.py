"""`testbed load N --from WHERE --to URL`: one-shot traffic; latency, outcomes and balance."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from testbed.cli.arguments import add_lab_argument, duration
from testbed.cli.main import EXIT_INTERRUPTED
from testbed.cli.output import add_output_option, align, emit, note
from testbed.traffic.spec import ARRIVALS, CLOSE, RESOLVE, LoadSpec
from testbed.units import pretty_s

if TYPE_CHECKING:
    from testbed.lab.load_handle import LoadHandle

DEFAULT_RATE_RPS = 100.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_lab_argument(parser)
    parser.add_argument(
        "--from", dest="source", metavar="WHERE", required=True, help="pod, node or outside host"
    )
    parser.add_argument(
        "--to",
        dest="url",
        metavar="URL",
        required=True,
        help="http://web/hostname, tcp://…, udp://…, or in short a service (web, web:80)",
    )
    parser.add_argument(
        "--rate",
        type=float,
        metavar="R",
        help=f"open loop: requests a second ({DEFAULT_RATE_RPS:g})",
    )
    parser.add_argument(
        "--connections",
        type=_connections,
        default=0,
        metavar="C",
        help="without --rate, closed loop: C clients, each waits for its answer; with it: how many"
        " connections are opened before one is used again",
    )
    parser.add_argument("--duration", type=duration, default=10.0, metavar="D", help="10s")
    parser.add_argument(
        "--reuse", type=int, default=1, metavar="K", help="requests on each connection (1)"
    )
    parser.add_argument("--arrivals", choices=ARRIVALS, default="poisson", help="poisson")
    parser.add_argument("--timeout", type=duration, default=5.0, metavar="T", help="5s")
    parser.add_argument(
        "--resolve",
        choices=RESOLVE,
        default="each",
        help="names: for each connection, again when the answer's TTL is over, or once",
    )
    parser.add_argument("--close", choices=CLOSE, default="fin", help="how connections end (fin)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the arrivals (0)")
    add_output_option(parser)


def run(args: argparse.Namespace) -> int:
    """0; 130 where Ctrl-C ended it, and then too it prints what was measured. Raises NotFound, UsageError."""
    spec = spec_of(args, _url(args))
    from testbed.lab.client import Lab

    handle = Lab.attach(args.lab).start_load(spec)
    with _ended_by_ctrl_c(handle) as interrupted, _progress(spec) as show:
        result = handle.wait(show)
    if args.output == "table":
        print(shown(result.summary))
    else:
        emit(args, result.summary)
    if not result.summary["outcomes"].get("ok"):
        _tell_what_leads_in(args, spec)
    return EXIT_INTERRUPTED if interrupted else 0


def _tell_what_leads_in(args: argparse.Namespace, spec: LoadSpec) -> None:
    from testbed.lab.asked import other_way
    from testbed.lab.client import Lab

    way = other_way(Lab.attach(args.lab).inspect(), spec.source, spec.target)
    if way:
        note(f"nobody answered: {way}")


def _url(args: argparse.Namespace) -> str:
    """As it was written, or what stands for it in the lab. Raises NotFound, UsageError."""
    if "://" in args.url:
        return str(args.url)
    from testbed.lab.asked import url_of
    from testbed.lab.client import Lab

    return url_of(Lab.attach(args.lab).inspect(), args.source, args.url)


def spec_of(args: argparse.Namespace, url: str) -> LoadSpec:
    """What the arguments ask for. Raises UsageError."""
    rate_rps = args.rate
    if rate_rps is None and not args.connections:
        rate_rps = DEFAULT_RATE_RPS
    return LoadSpec(
        source=args.source,
        url=url,
        rate_rps=rate_rps,
        arrivals=args.arrivals,
        connections=args.connections,
        duration_s=args.duration,
        reuse=args.reuse,
        timeout_s=args.timeout,
        seed=args.seed,
        close=args.close,
        resolve=args.resolve,
    )


def shown(summary: dict[str, Any]) -> str:
    """The summary as people read it."""
    latency, balance = summary["latency_ms"], summary["balance"]
    what = "latency" if summary["loop"] == "open" else "service time"
    rows = [
        ["requests", _requests(summary)],
        ["outcomes", ", ".join(f"{name} {n}" for name, n in summary["outcomes"].items()) or "none"],
        [what, "   ".join(f"{name} {_milliseconds(ms)}" for name, ms in latency.items())],
        ["balance", "   ".join(f"{name} {_figure(value)}" for name, value in balance.items())],
    ]
    parts = [align(rows)]
    total = sum(backend["connections"] for backend in summary["backends"].values())
    if total:
        backends = [
            [
                name,
                str(row["connections"]),
                f"{row['connections'] / total:.1%}",
                str(row["requests"]),
            ]
            for name, row in summary["backends"].items()
        ]
        parts.append(align([["BACKEND", "CONNECTIONS", "SHARE", "REQUESTS"], *backends]))
    return "\n\n".join(parts)


def _requests(summary: dict[str, Any]) -> str:
    rate_rps = summary["rate_rps"]
    rate = "" if rate_rps is None else f", {rate_rps:.4g}/s"
    took = pretty_s(summary["duration_s"])
    return f"{summary['requests']} in {took}{rate}, {summary['loop']} loop"


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else pretty_s(value / 1e3)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _connections(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} connections carry nothing; give at least 1")
    return number


@contextmanager
def _ended_by_ctrl_c(handle: LoadHandle) -> Iterator[list[int]]:
    """The first Ctrl-C asks the load to end and is noted in the list; a second one interrupts."""
    noted: list[int] = []

    def on_signal(signum: int, _: FrameType | None) -> None:
        noted.append(signum)
        signal.signal(signal.SIGINT, before)
        handle.stop()

    before = signal.signal(signal.SIGINT, on_signal)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, before)


class _Progress:
    """How far the load is: a line that renews itself on a terminal, else one at the start."""

    def __init__(self, spec: LoadSpec) -> None:
        self._spec = spec
        self._terminal = sys.stderr.isatty()

    def __call__(self, message: Any) -> None:
        """Show what the generator says of itself; other messages are passed over."""
        progress = message.get("progress") if isinstance(message, dict) else None
        if progress and self._terminal:
            elapsed = f"{progress['elapsed_s']:.0f} of {self._spec.duration_s:g} s"
            sys.stderr.write(f"\r\x1b[K{elapsed}, {progress['requests']} requests")
            sys.stderr.flush()


@contextmanager
def _progress(spec: LoadSpec) -> Iterator[_Progress]:
    note(f"{spec.source} -> {spec.url} for {pretty_s(spec.duration_s)}")
    try:
        yield _Progress(spec)
    finally:
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
