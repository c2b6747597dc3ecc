"""Which time range parameters mean."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eastwest.query.errors import ParameterError
from eastwest.query.timerange import instant_ns, resolve
from eastwest.store.questions import Range

S = 1_000_000_000
NOW = 1_795_348_800 * S


def test_the_last_quarter_of_an_hour_unless_said() -> None:
    assert resolve(None, None, None, NOW) == Range(NOW - 900 * S, NOW)
    assert resolve(None, None, None, NOW, Range(1, 2)) == Range(1, 2)


@pytest.mark.parametrize(("window", "seconds"), [("1s", 1), ("90s", 90), ("15m", 900), ("1h", 3600), ("7d", 604800)])
def test_windows_end_now(window: str, seconds: int) -> None:
    assert resolve(window, None, None, NOW, Range(1, 2)) == Range(NOW - seconds * S, NOW)


def test_start_and_end() -> None:
    start, end = "2026-11-22T10:00:00Z", "2026-11-22T11:30:00.25+01:00"
    assert resolve(None, start, end, NOW) == Range(NOW - 7200 * S, NOW - 5400 * S + S // 4)
    assert resolve(None, start, None, NOW) == Range(NOW - 7200 * S, NOW)
    assert resolve("5m", None, start, NOW) == Range(NOW - 7500 * S, NOW - 7200 * S)


def test_a_plus_that_became_a_space_is_explained() -> None:
    with pytest.raises(ParameterError, match="%2B"):
        instant_ns("2026-11-22T10:00:00 01:00", "start")


@given(
    st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.integers(-14 * 60, 14 * 60),
)
def test_every_moment_is_read_exactly(moment: datetime, offset_minutes: int) -> None:
    local = moment.astimezone(timezone(timedelta(minutes=offset_minutes)))
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    expected = (since.days * 86400 + since.seconds) * S + since.microseconds * 1000
    assert instant_ns(local.isoformat(), "start") == expected


@given(st.text(max_size=40))
def test_any_other_text_is_refused_by_name(text: str) -> None:
    for window, start in ((text, None), (None, text)):
        name = "window"
        try:
            found = resolve(window, start, None, NOW)
        except ParameterError as error:
            name = error.parameter
        else:
            assert found.start_ns < found.end_ns
        assert name in ("window", "start")
