"""A lab on a terminal: what is there, who is picked, what happens; drawn anew as it changes."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, ConsoleDimensions, RenderableType
from rich.layout import Layout
from rich.live import Live
from rich.text import Text

from testbed.live import panels
from testbed.live.watcher import Glance, Happened, Watcher

_EVENTS = 200
_WIDE = 116
"""Columns that two panels beside each other need."""
_LOOK_S = 0.2
"""How soon a terminal of another size is drawn anew."""
_HELP = "q quits   arrows and page keys scroll   Tab: nodes or services"


def watch_on_terminal(watcher: Watcher, period_s: float, ends_at_s: float | None) -> bool:
    """Show the lab until q or the end of the time; False where the lab ended before."""
    console = Console()
    screen = Screen()
    with _keys() as pressed, Live(console=console, screen=True, auto_refresh=False) as live:
        while ends_at_s is None or time.monotonic() < ends_at_s:
            glance = watcher.glance()
            if glance is None:
                return False
            screen.take(glance)
            due_s = min(time.monotonic() + period_s, ends_at_s or float("inf"))
            drawn_at: ConsoleDimensions | None = None
            while (left_s := due_s - time.monotonic()) > 0:
                if drawn_at != console.size:
                    drawn_at = console.size
                    live.update(screen.drawn(drawn_at.width, drawn_at.height), refresh=True)
                key = pressed(min(left_s, _LOOK_S))
                if key in {"q", "Q", "\x04"}:
                    return True
                if key:
                    screen.press(key)
                    drawn_at = None
    return True


@contextmanager
def _keys() -> Iterator[Callable[[float], str]]:
    """Waits for a key for so many seconds; "" where none came. The terminal is given back as it was."""
    if not sys.stdin.isatty():
        yield _asleep
        return
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)

    def pressed(seconds: float) -> str:
        readable, _, _ = select.select([fd], [], [], seconds)
        return os.read(fd, 16).decode(errors="replace") if readable else ""

    try:
        tty.setcbreak(fd)
        yield pressed
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def _asleep(seconds: float) -> str:
    time.sleep(seconds)
    return ""


class Screen:
    """The last glance, the events so far, and how far each panel is scrolled."""

    def __init__(self) -> None:
        self._glance: Glance | None = None
        self._events: deque[Happened] = deque(maxlen=_EVENTS)
        self._chosen = "services"
        self._first = {"services": 0, "nodes": 0}
        self._page = 1

    def take(self, glance: Glance) -> None:
        self._glance = glance
        self._events.extend(glance.events)

    def press(self, key: str) -> None:
        """Arrows, j and k, page keys, space and b, g and G scroll; Tab chooses what is scrolled."""
        if key == "\t":
            self._chosen = "nodes" if self._chosen == "services" else "services"
        page, far = self._page, 10**6
        steps = {"j": 1, "\x1b[B": 1, "k": -1, "\x1b[A": -1, " ": page, "\x1b[6~": page}
        steps |= {"\x1b[5~": -page, "b": -page, "g": -far, "\x1b[H": -far, "G": far, "\x1b[F": far}
        self._first[self._chosen] = max(0, self._first[self._chosen] + steps.get(key, 0))

    def drawn(self, width: int, height: int) -> RenderableType:
        """The whole screen. Before the first glance there is nothing to draw."""
        glance = self._glance
        if glance is None:
            return Text("")
        below = max(4, min(12, height // 3))
        middle = max(4, height - below - 2)
        layout = Layout()
        layout.split_column(
            Layout(panels.head(glance), size=1),
            Layout(name="middle", size=middle),
            Layout(panels.events(list(self._events), below), size=below),
            Layout(Text(_HELP, style="dim", no_wrap=True), size=1),
        )
        self._page = max(1, middle - 4)
        services = list(panels.service_rows(glance.ports))
        nodes = panels.node_rows(glance, middle - 3)
        at_service = self._chosen == "services"
        first = self._place("services", len(services)), self._place("nodes", len(nodes))
        right = panels.services(services, first[0], middle, chosen=at_service)
        left = panels.nodes(nodes, first[1], middle, chosen=not at_service)
        if width >= _WIDE:
            beside = Layout(left, size=max(40, min(52, width * 35 // 100)))
            layout["middle"].split_row(beside, Layout(right))
        else:
            layout["middle"].update(right if at_service else left)
        return layout

    def _place(self, panel: str, rows: int) -> int:
        """The first row to show: never so far down that the last rows leave room."""
        self._first[panel] = min(self._first[panel], max(0, rows - self._page))
        return self._first[panel]
