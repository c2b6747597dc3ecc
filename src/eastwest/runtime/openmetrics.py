"""Writes metrics as OpenMetrics 1.0 text, or as classic Prometheus text (0.0.4) for scrapers that ask for it.

It turns families and columns of values into bytes; it keeps no state, counts nothing and serves nothing. Agent and
server describe what they publish as `Family` values and hand over one column of label texts and one of values each.
Section numbers are those of OpenMetrics 1.0.0 (prometheus.io/docs/specs/om/open_metrics_spec).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Kind(StrEnum):
    """Metric types (section "Metric Types"); GaugeHistogram, StateSet and Summary are not needed here."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"
    UNKNOWN = "unknown"


class TextFormat(StrEnum):
    """The two text formats, by content type."""

    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    CLASSIC = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family. `name` has no `_total` or `_info` suffix and ends with `_<unit>` when there is a unit.

    `bounds` are the upper bounds of a histogram's buckets, ascending, inclusive (section "Histogram"), without +Inf.
    `hook` names the kernel hook whose absence makes the family unknown: it is then left out, never written as 0.
    """

    name: str
    kind: Kind
    help: str
    unit: str = ""
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    hook: str | None = None

    def __post_init__(self) -> None:
        if self.unit and not self.name.endswith("_" + self.unit):
            raise ValueError(f'{self.name}: a family with unit {self.unit!r} must end with it (section "Unit")')
        if bool(self.bounds) != (self.kind is Kind.HISTOGRAM) or list(self.bounds) != sorted(set(self.bounds)):
            raise ValueError(f"{self.name}: ascending bounds belong to a histogram, and only there")

    def sample_names(self) -> tuple[str, ...]:
        """The names a query may use, without `_created`."""
        match self.kind:
            case Kind.COUNTER:
                return (f"{self.name}_total",)
            case Kind.INFO:
                return (f"{self.name}_info",)
            case Kind.HISTOGRAM:
                return (f"{self.name}_bucket", f"{self.name}_count", f"{self.name}_sum")
        return (self.name,)


def escape(value: str) -> str:
    """A label value or an OpenMetrics HELP text (section "Escaping")."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def label_text(names: Sequence[str], values: Sequence[str | None]) -> str:
    """`a="x",b="y"` without braces. Empty and None are left out: they mean the same as no label (section "Label")."""
    return ",".join(f'{n}="{escape(v)}"' for n, v in zip(names, values, strict=True) if v)


def number(value: float) -> str:
    """A sample value: integers exactly, floats shortest, NaN and infinities spelled as in section "Numbers"."""
    if isinstance(value, int):
        return str(value)
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


class Exposition:
    """One answer to one scrape. Write each family once, then `finish`."""

    def __init__(self, text_format: TextFormat = TextFormat.OPENMETRICS) -> None:
        self._classic = text_format is TextFormat.CLASSIC
        self._lines: list[str] = []
        self._written: set[str] = set()

    def write(
        self,
        family: Family,
        labels: Sequence[str],
        values: NDArray[Any] | Sequence[float],
        created_s: NDArray[Any] | Sequence[float] | None = None,
    ) -> None:
        """All samples of a counter, gauge, info or unknown family: row i has `labels[i]` (see `label_text`).

        `created_s` (counters only) is when counting began, in seconds since the epoch; classic text leaves it out.
        A family without rows is not written. Raises ValueError when a family is written twice.
        """
        if not len(labels):
            return
        self._head(family)
        name = family.sample_names()[0]
        texts = [number(v) for v in _python(values)]
        heads = [f"{{{label}}}" if label else "" for label in labels]
        if created_s is None or self._classic or family.kind is not Kind.COUNTER:
            self._lines += [f"{name}{h} {v}" for h, v in zip(heads, texts, strict=True)]
            return
        base = family.name
        self._lines += [
            f"{name}{h} {v}\n{base}_created{h} {c:.3f}"
            for h, v, c in zip(heads, texts, _python(created_s), strict=True)
        ]

    def histogram(
        self,
        family: Family,
        labels: Sequence[str],
        counts: NDArray[Any],
        sums: NDArray[Any] | Sequence[float],
        created_s: NDArray[Any] | Sequence[float] | None = None,
    ) -> None:
        """A histogram family. `counts` has shape (n_rows, len(bounds) + 1), per bucket, not cumulative; last is +Inf."""
        if not len(labels):
            return
        if counts.shape != (len(labels), len(family.bounds) + 1):
            raise ValueError(f"{family.name}: counts of shape {counts.shape}")
        self._head(family)
        name = family.name
        les = [f'le="{number(float(b))}"' for b in (*family.bounds, math.inf)]
        made = [None] * len(labels) if created_s is None or self._classic else _python(created_s)
        for label, row, total, created in zip(
            labels, np.cumsum(counts, axis=1).tolist(), _python(sums), made, strict=True
        ):
            inner, head = (f"{label},", f"{{{label}}}") if label else ("", "")
            self._lines += [f"{name}_bucket{{{inner}{le}}} {n}" for le, n in zip(les, row, strict=True)]
            self._lines.append(f"{name}_count{head} {row[-1]}")
            self._lines.append(f"{name}_sum{head} {number(total)}")
            if created is not None:
                self._lines.append(f"{name}_created{head} {created:.3f}")

    def finish(self) -> bytes:
        """The whole answer; OpenMetrics ends with `# EOF` (section "Overall Structure")."""
        end = [""] if self._classic else ["# EOF", ""]
        return "\n".join(self._lines + end).encode()

    def _head(self, family: Family) -> None:
        if family.name in self._written:
            raise ValueError(f"{family.name}: a family is written once, with all its rows")
        self._written.add(family.name)
        if self._classic:
            name = family.name if family.kind is Kind.HISTOGRAM else family.sample_names()[0]
            kind = {Kind.INFO: "gauge", Kind.UNKNOWN: "untyped"}.get(family.kind, family.kind.value)
            text = family.help.replace("\\", r"\\").replace("\n", r"\n")
            self._lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
            return
        self._lines.append(f"# TYPE {family.name} {family.kind.value}")
        if family.unit:
            self._lines.append(f"# UNIT {family.name} {family.unit}")
        self._lines.append(f"# HELP {family.name} {escape(family.help)}")


def negotiate(accept: str | None) -> TextFormat:
    """The format for an Accept header (RFC 9110 section 12.5.1): OpenMetrics unless only classic text is wanted more."""
    wanted = dict.fromkeys(("application/openmetrics-text", "text/plain"), 0.0)
    for media, quality in _media_ranges(accept or "*/*"):
        for known in wanted:
            if media in (known, known.split("/")[0] + "/*", "*/*"):
                wanted[known] = max(wanted[known], quality)
    openmetrics, classic = wanted.values()
    return TextFormat.CLASSIC if classic > openmetrics else TextFormat.OPENMETRICS


def _media_ranges(accept: str) -> Iterable[tuple[str, float]]:
    for part in accept.split(","):
        media, *parameters = (p.strip().lower() for p in part.split(";"))
        quality, version = 1.0, ""
        for p in parameters:
            key, _, value = p.partition("=")
            if key == "q":
                quality = float(value) if value.replace(".", "", 1).isdecimal() else 0.0
            elif key == "version":
                version = value
        if media == "application/openmetrics-text" and version not in ("", "1.0.0"):
            continue
        if media == "text/html":
            media = "text/plain"  # a browser: show it rather than save it
        yield media, quality


def _python(values: NDArray[Any] | Sequence[float]) -> Sequence[Any]:
    """Plain int and float, which format several times faster than numpy scalars."""
    return values.tolist() if isinstance(values, np.ndarray) else values
