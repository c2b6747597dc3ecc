"""A table in a narrow terminal: numbers and headings stay whole, less important columns go, and the reader is told."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from eastwest.cli._table import Head, View, _rich, fitting, number

HEADS = [Head("FROM"), Head("ZONE", drop=2), Head("TO"), Head("PORT"), number("SENT"), number("OPENED", drop=1)]
LONG = "photo-gallery/upload-service-wdhvb66tq5-64tjh"
ROWS = [[LONG, "us-east-1a", LONG, "TCP 8080", "739.7 kB", "1,234"], ["a/b", "us-east-1b", "c/d", "UDP 53", "1 B", "0"]]


def drawn(width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(_rich(View("2 flows", HEADS, ROWS), width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_a_wide_terminal_has_everything_on_one_line_a_row() -> None:
    lines = drawn(200)
    assert "ZONE" in lines[1]
    assert LONG in lines[2]
    assert len(lines) == 4


@pytest.mark.parametrize("width", [60, 70, 80, 100])
def test_nothing_is_wider_than_the_terminal_and_numbers_stay_whole(width: int) -> None:
    lines = drawn(width)
    assert max(map(len, lines)) <= width
    assert "739.7 kB" in "\n".join(lines)
    assert all(name in lines[1] for name in ("FROM", "TO", "PORT", "SENT"))


def test_the_least_important_columns_go_first_and_are_named() -> None:
    assert fitting(HEADS, ROWS, 100)[1] == []
    assert fitting(HEADS, ROWS, 80)[1] == ["ZONE"]
    assert fitting(HEADS, ROWS, 70)[1] == ["ZONE", "OPENED"]
    assert "left out for want of room: ZONE" in "\n".join(drawn(80))


def test_a_column_without_a_word_in_it_is_not_shown() -> None:
    heads = [Head("NAME"), Head("NOT PRICED", drop=1)]
    assert list(fitting(heads, [["a", ""], ["b", ""]], 80)[0]) == [0]
    assert list(fitting(heads, [["a", ""], ["b", "1 kB: a zone is unknown"]], 80)[0]) == [0, 1]
