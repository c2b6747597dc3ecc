"""Tables for people: aligned and coloured in a terminal, plain tab-separated text in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

UNKNOWN = "–"


@dataclass(frozen=True, slots=True)
class Head:
    """A column heading; numbers are right-aligned."""

    name: str
    justify: Literal["left", "right"] = "left"
    style: str | None = None


def number(name: str) -> Head:
    return Head(name, "right")


def bytes_text(value: int | None) -> str:
    """1536 -> '1.5 kB' (SI, as network people count); unknown is a dash."""
    if value is None:
        return UNKNOWN
    size = float(value)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(size) < 1000 or unit == "TB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError("unreachable")


def count_text(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value:,}"


def us_text(value: float | None) -> str:
    """1234 µs -> '1.2 ms'; unknown is a dash."""
    if value is None:
        return UNKNOWN
    if value < 1000:
        return f"{value:.0f} µs"
    return f"{value / 1e3:.1f} ms" if value < 1e6 else f"{value / 1e6:.1f} s"


def _plain(heads: Sequence[Head], rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    lines = ["\t".join(h.name for h in heads), *("\t".join(row) for row in rows)]
    lines += [f"# {note}" for note in notes]
    return "\n".join(lines)


def _rich(title: str, heads: Sequence[Head], rows: Sequence[Sequence[str]], notes: Sequence[str]) -> RenderableType:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for head in heads:
        table.add_column(head.name, justify=head.justify, style=head.style, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return Group(table, *(Text(note, style="yellow") for note in notes))


@dataclass(frozen=True, slots=True)
class View:
    """One answer, ready to show. `notes` say what the reader must know about the figures."""

    title: str
    heads: Sequence[Head]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


def show(view: View) -> None:
    """Print once."""
    if sys.stdout.isatty():
        Console().print(_rich(view.title, view.heads, view.rows, view.notes))
    else:
        print(_plain(view.heads, view.rows, view.notes))


def watch(fetch: Callable[[], View], every_s: float = 2.0) -> None:
    """Show and refresh until Ctrl-C."""
    if not sys.stdout.isatty():
        while True:
            show(fetch())
            sys.stdout.flush()
            time.sleep(every_s)
    with Live(auto_refresh=False, screen=True) as live:
        while True:
            view = fetch()
            live.update(_rich(view.title, view.heads, view.rows, view.notes), refresh=True)
            time.sleep(every_s)
