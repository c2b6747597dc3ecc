"""Several batches in one body: what goes in comes out, and anything else is refused in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eastwest.wire.batches import MAX_BATCHES, BatchAnswer, answers_from_json, answers_to_json, join, split
from eastwest.wire.header import BatchError


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=MAX_BATCHES))
def test_round_trip(batches: list[bytes]) -> None:
    assert split(b"".join(join(batches))) == batches


@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_are_refused_politely(content: bytes, magic: bool) -> None:
    body = b"EWBN" + content if magic else content
    try:
        found = split(body)
    except BatchError:
        return
    assert b"".join(join(found)) == body


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "too short"),
        (b"EWB1\1\0\0\0", "not several eastwest batches"),
        (b"EWBN\0\0\0\0", "holds 0 batches"),
        (b"EWBN\xff\xff\xff\xff", "1 to 128"),
        (b"EWBN\1\0\0\0", "ends before batch 0 of 1"),
        (b"EWBN\1\0\0\0\xff\xff\xff\xff", "batch 0 of 1 reaches past the end"),
        (b"EWBN\1\0\0\0\1\0\0\0ab", "1 bytes follow"),
    ],
)
def test_what_is_wrong_is_named(body: bytes, message: str) -> None:
    with pytest.raises(BatchError, match=message):
        split(body)


def test_more_than_fit_are_not_joined() -> None:
    for count in (0, MAX_BATCHES + 1):
        with pytest.raises(ValueError, match="1 to 128"):
            join([b"x"] * count)


def test_answers() -> None:
    answers = [BatchAnswer(204), BatchAnswer(422, "é" * 1000)]
    assert answers_from_json(answers_to_json(answers), 2) == [BatchAnswer(204), BatchAnswer(422, "é" * 300)]


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"{}", b'{"answers": {}}', b'{"answers": [{"status": 204}]}', b'{"answers": [{"status": true}, 1]}'],
)
def test_answers_that_are_not_two(raw: bytes) -> None:
    with pytest.raises(ValueError):
        answers_from_json(raw, 2)
