"""pods/NAME/log: what a container printed, whole or its end, and on as it prints more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web

from testbed.apiserver.failure import bad_request
from testbed.apiserver.streaming import Line, Log, Pods, container_of, flag
from testbed.model.objects.pods import Pod

_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class LogOptions:
    """Of a request; `since_ns` is of the Unix epoch."""

    container: str = ""
    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail_lines: int | None = None
    limit_bytes: int | None = None
    since_ns: int = 0
    stream: str = "All"


def log_options(query: Mapping[str, str], now_ns: int) -> LogOptions:
    """Raises ApiFailure for what cannot be."""
    since_s = _count(query, "sinceSeconds")
    since_ns = 0 if since_s is None else now_ns - since_s * _NS
    if "sinceTime" in query:
        if since_s is not None:
            raise bad_request("at most one of `sinceTime` or `sinceSeconds` may be specified")
        try:
            since_ns = int(datetime.fromisoformat(query["sinceTime"]).timestamp() * _NS)
        except ValueError:
            raise bad_request(f"sinceTime: {query['sinceTime']!r} is no RFC 3339 time") from None
    return LogOptions(
        query.get("container", ""),
        flag(query.get("follow")),
        flag(query.get("previous")),
        flag(query.get("timestamps")),
        _count(query, "tailLines"),
        _count(query, "limitBytes"),
        since_ns,
        query.get("stream", "All"),
    )


def _count(query: Mapping[str, str], key: str) -> int | None:
    if not query.get(key):
        return None
    try:
        value = int(query[key])
    except ValueError:
        raise bad_request(f"{key}: {query[key]!r} is no whole number") from None
    if value < 0:
        raise bad_request(f"{key}: must be greater than or equal to 0")
    return value


async def pod_log(
    request: web.Request, pod: Pod, pods: Pods, now_ns: Callable[[], int]
) -> web.StreamResponse:
    """Answer with a container's log."""
    options = log_options(request.query, now_ns())
    log = _log(pod, pods, options)
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    if log is not None:
        await _send(response, log, options)
    await response.write_eof()
    return response


def _log(pod: Pod, pods: Pods, options: LogOptions) -> Log | None:
    container = container_of(pod, options.container).name
    statuses = (*pod.status.init_containers, *pod.status.containers)
    status = next((one for one in statuses if one.name == container), None)
    where = f'"{container}" in pod "{pod.meta.name}"'
    if options.previous and (status is None or status.last is None):
        raise bad_request(f"previous terminated container {where} not found")
    log = pods.log(pod, container, previous=options.previous)
    if log is not None:
        return log
    if status is None or status.state == "waiting":
        why = status.reason if status is not None else "PodInitializing"
        raise bad_request(f"container {where} is waiting to start: {why or 'ContainerCreating'}")
    return None  # a server of the lab's own, which prints nothing


async def _send(response: web.StreamResponse, log: Log, options: LogOptions) -> None:
    left = options.limit_bytes
    seen = log.dropped + len(log.lines)
    lines: Iterable[Line] = _chosen(log.lines, options)
    while True:
        data = b"".join(_spelled(line, options) for line in lines)
        if left is not None:
            data, left = data[:left], left - len(data[:left])
        if data:
            await response.write(data)
        if left == 0 or not options.follow:
            return
        while log.dropped + len(log.lines) == seen:
            if log.over:
                return
            await log.changed.wait()
        fresh = min(log.dropped + len(log.lines) - seen, len(log.lines))
        lines = [one for one in list(log.lines)[-fresh:] if _wanted(one, options)]
        seen = log.dropped + len(log.lines)


def _chosen(lines: Iterable[Line], options: LogOptions) -> list[Line]:
    found = [line for line in lines if _wanted(line, options)]
    if options.tail_lines is None:
        return found
    return found[-options.tail_lines :] if options.tail_lines else []


def _wanted(line: Line, options: LogOptions) -> bool:
    right = options.stream in ("All", "") or options.stream.lower() == line.stream
    return right and line.unix_ns >= options.since_ns


def _spelled(line: Line, options: LogOptions) -> bytes:
    return f"{_time(line.unix_ns)} ".encode() + line.text if options.timestamps else line.text


def _time(unix_ns: int) -> str:
    """RFC 3339 with nanoseconds."""
    whole = datetime.fromtimestamp(unix_ns // _NS, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{unix_ns % _NS:09d}Z"
