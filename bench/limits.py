"""The limits of bench/limits.toml: what a measured figure may be at most, and the table that docs/performance.md quotes."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("limits.toml")


@dataclass(frozen=True, slots=True)
class Limit:
    """`figure` may be "*": every figure of that part of that benchmark."""

    bench: str
    part: str
    figure: str
    most: float
    unit: str
    what: str


@cache
def limits() -> tuple[Limit, ...]:
    """Every limit, in the file's order."""
    return tuple(Limit(**entry) for entry in tomllib.loads(FILE.read_text())["limit"])


@cache
def wanted() -> dict[str, float]:
    """Throughput to be kept, as a share: told beside what was measured, not judged."""
    found: dict[str, float] = tomllib.loads(FILE.read_text())["wanted"]
    return found


def limit_of(bench: str, part: str, figure: str) -> float | None:
    """What that figure may be at most; None: it is not judged."""
    for limit in limits():
        if (limit.bench, limit.part) == (bench, part) and limit.figure in ("*", figure):
            return limit.most
    return None


def judged(bench: str, part: str, figure: str, value: float) -> tuple[bool, str]:
    """Whether a measured figure is past its limit, and the words to print behind it; (False, "") where it has none."""
    limit = limit_of(bench, part, figure)
    if limit is None:
        return False, ""
    past = value > limit
    return past, f"  (limit {limit:g}{', BROKEN' if past else ''})"


def table() -> str:
    """The limits as the Markdown table of docs/performance.md."""
    rows = [f"| {limit.what} | {limit.most:g} {limit.unit} |" for limit in limits()]
    shares = [
        f"| throughput kept, {name} (told, not judged) | at least {share:g} |" for name, share in wanted().items()
    ]
    return "\n".join(["| what | at most |", "| --- | --- |", *rows, *shares]) + "\n"
