"""When a CronJob fires: the five fields of cron (minute hour day month weekday), in UTC. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from eastwest.lab.state import LabError

_RANGES: Final = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_NICKNAMES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}


def parse(text: str) -> list[set[int]]:
    """The values each field allows. Raises LabError."""
    fields = _NICKNAMES.get(text, text).split()
    if len(fields) != 5:
        raise LabError(f"schedule {text!r} does not have five fields")
    return [_field(f, low, high, text) for f, (low, high) in zip(fields, _RANGES, strict=True)]


def _field(field: str, low: int, high: int, text: str) -> set[int]:
    allowed: set[int] = set()
    for part in field.split(","):
        body, _, step = part.partition("/")
        first, _, last = body.partition("-")
        try:
            if body == "*":
                start, end = low, high
            else:
                start = int(first)
                end = int(last) if last else (high if step else start)
            width = int(step) if step else 1
        except ValueError:
            raise LabError(f"schedule {text!r}: {part!r} is not a number, range or step") from None
        if not low <= start <= end <= high or width < 1:
            raise LabError(f"schedule {text!r}: {part!r} is out of range {low}-{high}")
        allowed.update(range(start, end + 1, width))
    return allowed


def next_time(text: str, after_ns: int) -> int:
    """The first firing strictly after `after_ns` (Unix ns). Raises LabError when there is none within four years."""
    minutes, hours, days, months, weekdays = parse(text)
    if 7 in weekdays:
        weekdays.add(0)
    fields = _NICKNAMES.get(text, text).split()
    at = datetime.fromtimestamp(after_ns // 1_000_000_000, UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    end = at + timedelta(days=4 * 366)
    while at < end:
        by_day, by_weekday = at.day in days, (at.weekday() + 1) % 7 in weekdays
        either = "*" not in (fields[2][0], fields[4][0])  # cron(5): both restricted = either matches
        if at.month not in months or not ((by_day or by_weekday) if either else (by_day and by_weekday)):
            at = (at + timedelta(days=1)).replace(hour=0, minute=0)
        elif at.hour not in hours:
            at = (at + timedelta(hours=1)).replace(minute=0)
        elif at.minute not in minutes:
            at += timedelta(minutes=1)
        else:
            return int(at.timestamp()) * 1_000_000_000
    raise LabError(f"schedule {text!r} never fires")
