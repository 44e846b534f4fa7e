"""The parts of the terminal view, of a glance each."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from testbed.live.lines import event_text, pod_state, rate, share, short, time_of_day
from testbed.live.tally import PortRow
from testbed.live.watcher import Glance, Happened

Row = tuple[Text, ...]
_BAR = 8
"""Cells of a share's bar."""
_FEW_PODS = 3
"""So many of a node are named wherever it has them."""
_AROUND = 3
"""Rows of a panel that are no rows of its table: its border, and how much is below."""


def head(glance: Glance) -> Text:
    """One line: which lab, and how it is."""
    ready = sum(pod["ready"] for pod in glance.pods)
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(glance.name, style="bold")
    text.append(f"  kernel {glance.kernel}  proxy {glance.proxy}  ")
    text.append(f"{len(glance.nodes)} nodes, {ready} of {len(glance.pods)} pods ready  ")
    text.append(time.strftime("%H:%M:%S", time.localtime(glance.at_s)), style="dim")
    if glance.lost:
        text.append(f"  {glance.lost} bursts of connections were not counted", style="bold red")
    return text


def node_rows(glance: Glance, room: int) -> list[Row]:
    """Every node with its pods, as many as fit; those that are not ready come first."""
    most = max(_FEW_PODS, room // max(1, len(glance.nodes)) - 1)
    on_nodes: dict[str, list[dict[str, object]]] = {}
    for pod in glance.pods:
        on_nodes.setdefault(str(pod["node"]), []).append(pod)
    rows: list[Row] = []
    for node in glance.nodes:
        pods = on_nodes.pop(node["name"], [])
        count = f"{len(pods)} pod{'s' * (len(pods) != 1)}"
        state = count if node["ready"] else f"not ready, {count}"
        title = Text(f"{node['name']}  {node['addresses'][0]}", style="bold")
        rows += [(title, Text(state, style="dim" if node["ready"] else "bold red"))]
        rows += _pod_rows(pods, most)
    for pods in on_nodes.values():
        rows += [(Text("on no node", style="bold"), Text("")), *_pod_rows(pods, most)]
    return rows


def _pod_rows(pods: Iterable[dict[str, object]], most: int) -> Iterator[Row]:
    ordered = sorted(pods, key=lambda pod: (pod["ready"], pod["namespace"], pod["name"]))
    shown = ordered if len(ordered) <= most else ordered[: most - 1]
    for pod in shown:
        name = short(f"{pod['namespace']}/{pod['name']}")
        style = "green" if pod["ready"] else "bold red"
        yield Text(f"  {name}"), Text(pod_state(pod), style=style)
    if len(shown) < len(ordered):
        yield Text(f"  and {len(ordered) - len(shown)} more", style="dim"), Text("")


def nodes(rows: Sequence[Row], first: int, height: int, *, chosen: bool) -> Panel:
    """Rows of `node_rows` from the `first` on."""
    table = Table(box=None, expand=True, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    return _panel("nodes and pods", table, rows[first:], height - _AROUND, chosen)


def service_rows(ports: Iterable[PortRow]) -> Iterator[Row]:
    """Every service port, and below it its endpoints."""
    for port in ports:
        node_port = f"  node port {port.node_port}" if port.node_port else ""
        yield (
            Text(short(port.name), style="bold"),
            Text(f"{port.address}{node_port}"),
            Text(rate(port.rate_per_s), style="bold"),
            Text(str(port.connections or "-")),
            Text(""),
            Text(""),
        )
        if not port.endpoints:
            yield Text("  no endpoints", style="red"), *([Text("")] * 5)
        for row in port.endpoints:
            style = "" if row.ready else "red"
            where = row.node if row.ready else f"{row.node} not ready".strip()
            yield (
                Text(f"  {row.pod or row.endpoint}", style=style),
                Text(f"{where} {row.endpoint if row.pod else ''}".strip(), style=style or "dim"),
                Text(rate(row.rate_per_s)),
                Text(str(row.connections or "-")),
                Text(share(row)),
                Text("█" * round(row.share * _BAR), style="cyan"),
            )


def services(rows: Sequence[Row], first: int, height: int, *, chosen: bool) -> Panel:
    """Rows of `service_rows` from the `first` on."""
    table = Table(box=None, expand=True, pad_edge=False)
    table.add_column("service, endpoint", no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column("address", no_wrap=True, overflow="ellipsis", ratio=1)
    for name in ("new", "all", "share"):
        table.add_column(name, justify="right", no_wrap=True, min_width=6)
    table.add_column("", width=_BAR, no_wrap=True)
    title = "services: new connections a second, all that were counted, share"
    return _panel(title, table, rows[first:], height - _AROUND - 1, chosen)


def _panel(title: str, table: Table, rows: Sequence[Row], room: int, chosen: bool) -> Panel:
    for row in rows[:room]:
        table.add_row(*row)
    below = len(rows) - room
    more = Text(f"{below} more rows below" if below > 0 else "", style="dim")
    style = "cyan" if chosen else "dim"
    return Panel(Group(table, more), title=title, title_align="left", border_style=style)


def events(happened: Sequence[Happened], height: int) -> Panel:
    """The last ones that fit."""
    table = Table(box=None, expand=True, pad_edge=False, show_header=False)
    table.add_column(width=12, no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for event in happened[-max(1, height - 2) :]:
        table.add_row(Text(time_of_day(event.at_s), style="dim"), event_text(event))
    return Panel(table, title="events", title_align="left", border_style="dim")
