"""Which time range a person means: `window` back from now, or `start` and `end` in RFC 3339."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from eastwest.query.errors import ParameterError
from eastwest.store.questions import Range

DEFAULT_WINDOW: Final = "15m"
MAX_WINDOW_S: Final = 400 * 24 * 3600
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_WINDOW: Final = re.compile(r"([0-9]{1,9})(s|m|h|d)")
_RFC3339: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.(\d{1,9}))?([Zz]|[+-]\d{2}:\d{2})")


def duration_ns(text: str, parameter: str = "window") -> int:
    """`90s`, `15m`, `1h`, `7d` in nanoseconds. Raises ParameterError."""
    found = _WINDOW.fullmatch(text.strip())
    if not found:
        raise ParameterError(parameter, f"{text!r} is not a duration: write a number with s, m, h or d, such as 15m")
    seconds = int(found[1]) * _UNITS[found[2]]
    if not 0 < seconds <= MAX_WINDOW_S:
        raise ParameterError(parameter, f"{text!r} must be between 1s and {MAX_WINDOW_S // 86400}d")
    return seconds * 1_000_000_000


def instant_ns(text: str, parameter: str) -> int:
    """RFC 3339 (section 5.6) to nanoseconds, exactly. Raises ParameterError."""
    found = _RFC3339.fullmatch(text.strip())
    if not found:
        hint = "; a + in a URL is written %2B" if re.search(r" \d{2}:\d{2}$", text) else ""
        raise ParameterError(parameter, f"{text!r} is not RFC 3339: write 2026-11-22T12:00:00Z{hint}")
    fraction, zone = found[1] or "", found[2].upper()
    whole = re.sub(r"\.\d+", "", text.strip().upper())
    try:
        moment = datetime.fromisoformat(whole.replace(" ", "T").removesuffix("Z") + ("+00:00" if zone == "Z" else ""))
    except ValueError as error:
        raise ParameterError(parameter, f"{text!r} is not a moment: {error}") from None
    seconds = int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    value = seconds * 1_000_000_000 + int(fraction.ljust(9, "0") or 0)
    if not 0 <= value < 2**63:
        raise ParameterError(parameter, f"{text!r} lies outside 1970 to 2262")
    return value


def resolve(window: str | None, start: str | None, end: str | None, now_ns: int, default: Range | None = None) -> Range:
    """The range that was asked for; `default` (else the last 15 minutes) when nothing was.

    Raises ParameterError naming the one to change: `window` excludes `start`; `end` alone ends a window.
    """
    if window is None and start is None and end is None and default is not None:
        return default
    if window is not None and start is not None:
        raise ParameterError("window", "give either window or start, not both")
    end_ns = now_ns if end is None else instant_ns(end, "end")
    if start is not None:
        start_ns = instant_ns(start, "start")
    else:
        start_ns = max(0, end_ns - duration_ns(DEFAULT_WINDOW if window is None else window))
    if start_ns >= end_ns:
        raise ParameterError("start" if start is not None else "end", "start must lie before end")
    if end_ns - start_ns > MAX_WINDOW_S * 1_000_000_000:
        raise ParameterError("start", f"the range is longer than {MAX_WINDOW_S // 86400} days")
    return Range(start_ns, end_ns)
