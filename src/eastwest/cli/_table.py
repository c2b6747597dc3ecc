"""Tables for people: aligned and coloured in a terminal, plain tab-separated text in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

UNKNOWN = "–"


@dataclass(frozen=True, slots=True)
class Head:
    """A column heading; numbers are right-aligned. A narrow terminal goes without the columns of the highest `drop` first."""

    name: str
    justify: Literal["left", "right"] = "left"
    style: str | None = None
    drop: int = 0


def number(name: str, drop: int = 0) -> Head:
    return Head(name, "right", drop=drop)


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


_READABLE, _NARROWEST, _GAP = 24, 12, 2
"""Longer text may break over lines, down to these widths: the first while columns can be left out, then the second."""


def _needs(head: Head, cells: Sequence[str]) -> tuple[int, int]:
    """The least width of a column, and how much of it can still be saved by breaking text; numbers and headings never break."""
    widest = max(map(cell_len, cells), default=0)
    if head.justify == "right":
        return max(cell_len(head.name), widest), 0
    least = max(cell_len(head.name), min(widest, _READABLE))
    return least, least - max(cell_len(head.name), min(widest, _NARROWEST))


def fitting(heads: Sequence[Head], rows: Sequence[Sequence[str]], width: int) -> tuple[dict[int, int], list[str]]:
    """The columns to show in `width` cells, each with its least width, and the names of those left out for want of room.

    A column without one word in it is left out as well, and not worth a name.
    """
    columns = [[row[i] for row in rows] for i in range(len(heads))]
    kept = [i for i, cells in enumerate(columns) if not rows or any(cells) or not heads[i].drop]
    needs = {i: _needs(heads[i], columns[i]) for i in kept}
    missed: list[str] = []

    def excess() -> int:
        return sum(needs[i][0] + _GAP for i in kept) - width  # rich sets the gap beside the outer columns, too

    while excess() > 0 and any(heads[i].drop for i in kept):
        first = max(heads[i].drop for i in kept)
        missed += [heads[i].name for i in kept if heads[i].drop == first]
        kept = [i for i in kept if heads[i].drop != first]
    while excess() > 0 and any(needs[i][1] for i in kept):
        widest = max((i for i in kept if needs[i][1]), key=lambda i: needs[i][0])
        needs[widest] = (needs[widest][0] - 1, needs[widest][1] - 1)
    return {i: needs[i][0] for i in kept}, list(dict.fromkeys(missed))


def _rich(view: View, width: int) -> RenderableType:
    kept, missed = fitting(view.heads, view.rows, width)
    table = Table(
        title=view.title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim"
    )
    for i, least in kept.items():
        head = view.heads[i]
        fixed = max((cell_len(row[i]) for row in view.rows), default=0) <= least
        table.add_column(
            head.name, justify=head.justify, style=head.style, overflow="fold", no_wrap=fixed, min_width=least
        )
    for row in view.rows:
        table.add_row(*(Text(row[i]) for i in kept))
    notes = list(view.notes)
    if missed:
        notes.append(f"left out for want of room: {', '.join(missed)} (a wider terminal, a pipe and --json have them)")
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
        console = Console()
        console.print(_rich(view, console.width))
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
            live.update(_rich(fetch(), live.console.width), refresh=True)
            time.sleep(every_s)
