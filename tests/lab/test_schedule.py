"""When a CronJob fires."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from eastwest.lab.schedule import next_time
from eastwest.lab.state import LabError


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


@pytest.mark.parametrize(
    ("schedule", "after", "expected"),
    [
        ("0 * * * *", "2026-11-22T14:00:00", "2026-11-22T15:00:00"),
        ("*/15 * * * *", "2026-11-22T14:16:10", "2026-11-22T14:30:00"),
        ("5 4 * * 7", "2026-11-22T05:00:00", "2026-11-29T04:05:00"),  # 22 November 2026 is a Sunday
        ("0 0 29 2 *", "2026-11-22T00:00:00", "2028-02-29T00:00:00"),
        ("0 0 13 * 5", "2026-11-22T00:00:00", "2026-11-27T00:00:00"),  # the 13th or a Friday: whichever is first
        ("30 9-17/4 * 1,6 *", "2026-11-22T00:00:00", "2027-01-01T09:30:00"),
        ("@daily", "2026-12-31T23:59:59", "2027-01-01T00:00:00"),
    ],
)
def test_next_time(schedule: str, after: str, expected: str) -> None:
    assert next_time(schedule, at(after)) == at(expected)


@pytest.mark.parametrize(
    "schedule", ["", "* * * *", "60 * * * *", "x * * * *", "5-1 * * * *", "*/0 * * * *", "0 0 31 2 *"]
)
def test_a_bad_schedule_is_refused(schedule: str) -> None:
    with pytest.raises(LabError):
        next_time(schedule, at("2026-11-22T00:00:00"))
