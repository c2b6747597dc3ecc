"""Which batches come in, and what is said to the others."""

from __future__ import annotations

import gzip
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.factories_batches import batch, body, recent
from eastwest.collector import accept as module
from eastwest.collector.accept import RefusedError, accept
from eastwest.runtime.tokens import agent_token
from store.factories_flows import SECOND, header, pod, record

SECRET = b"s" * 32
TOKEN = agent_token(SECRET, "c1", "node-a")
ENDS = (pod("src", "", "", ip="10.0.0.1"), pod("dst", "", "", ip="10.0.0.2"))


def row(**values: Any) -> dict[str, Any]:
    return record(*ENDS, **({"at": recent()} | values))


def refused(content: bytes, token: str | None = TOKEN, encoding: str | None = None) -> tuple[int, str, str]:
    with pytest.raises(RefusedError) as caught:
        accept(content, encoding, token, SECRET, time.time_ns())
    return caught.value.status, caught.value.cause, str(caught.value)


def test_a_good_batch() -> None:
    content = batch(0, [row(), row()])
    for encoding, sent in ((None, content), ("gzip", gzip.compress(content)), ("identity", content)):
        accepted = accept(sent, encoding, TOKEN, SECRET, 1 + time.time_ns())
        assert (accepted.header.seq, accepted.records.num_rows) == (0, 2)


def test_a_batch_without_records_is_a_batch() -> None:
    assert accept(batch(0, []), None, TOKEN, SECRET, time.time_ns()).records.num_rows == 0


def test_tokens() -> None:
    content = batch(0, [row()])
    assert refused(content, None)[0] == 401
    status, cause, words = refused(content, agent_token(SECRET, "c1", "node-b"))
    assert (status, cause) == (403, "wrong_token")
    assert "`eastwest server token --cluster c1 --node node-a` prints the one that does" in words
    assert refused(content, agent_token(b"other" * 8, "c1", "node-a"))[0] == 403
    assert refused(content, "é")[0] == 403
    assert refused(batch(0, [row(cluster="c2")], cluster="c2"))[0] == 403


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row(node="node-b")], "column node"),
        ([row(), row(cluster="c2")], "column cluster"),
        ([row(reporter="me")], "column reporter"),
        ([row(role_source="guess")], "column role_source"),
    ],
)
def test_rows_that_contradict_the_header(rows: list[dict[str, Any]], message: str) -> None:
    status, cause, reason = refused(batch(0, rows))
    assert (status, cause) == (422, "malformed")
    assert message in reason


def test_windows_and_clocks() -> None:
    at = recent()
    outside = body(header(0, at=at, records=1), [row(at=at + 3600 * SECOND)])
    assert "outside of the header's window" in refused(outside)[2]
    backwards = body(header(0, at=at, window_end_ns=at, records=0), [])
    assert "not before" in refused(backwards)[2]
    ahead = recent(-7200)
    assert refused(body(header(0, at=ahead, records=0), []))[:2] == (422, "clock")


def test_encodings(monkeypatch: pytest.MonkeyPatch) -> None:
    content = batch(0, [row()])
    assert refused(content, encoding="br")[0] == 415
    assert refused(content, encoding="gzip")[0] == 422
    assert refused(gzip.compress(content)[:-9], encoding="gzip")[0] == 422
    monkeypatch.setattr(module, "MAX_BODY_BYTES", 1000)
    assert refused(gzip.compress(bytes(1_000_000)), encoding="gzip")[:2] == (413, "too_large")
    assert refused(bytes(1001))[0] == 413


@given(st.binary(max_size=300), st.sampled_from([None, "gzip"]))
def test_any_bytes_are_refused_politely(content: bytes, encoding: str | None) -> None:
    assert refused(content, encoding=encoding)[0] == 422


@given(st.data())
def test_a_damaged_batch_never_breaks_the_door(data: st.DataObject) -> None:
    content = bytearray(batch(0, [row()]))
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[at] ^= data.draw(st.integers(1, 255))
    try:
        accept(bytes(content), None, TOKEN, SECRET, time.time_ns())
    except RefusedError as error:
        status = error.status
    else:
        status = 204  # the damage is in a value
    assert status in (204, 403, 422)
