"""Answers as servers really give them, and anything else."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eastwest.wire.http1 import ProtocolError, Response, read_response


def read(raw: bytes, limit: int = 100) -> Response:
    return read_response(io.BytesIO(raw), limit)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", Response(204, {}, b"")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokmore", Response(200, {"content-length": "2"}, b"ok")),
        (b"HTTP/1.0 500 x\nA:b\n\nto the end", Response(500, {"a": "b"}, b"to the end")),
        (b"HTTP/1.1 503\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", Response(503, {"retry-after": "7", "content-length": "0"}, b"")),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", Response(204, {}, b"")),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
            Response(200, {"transfer-encoding": "chunked"}, b"abcde"),
        ),
    ],
)  # fmt: skip
def test_answers(raw: bytes, expected: Response) -> None:
    assert read(raw) == expected


def test_a_long_body_is_cut() -> None:
    assert read(b"HTTP/1.1 400 x\r\nContent-Length: 9\r\n\r\n123456789", 4).body == b"1234"
    assert read(b"HTTP/1.1 400 x\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n123456789\r\n0\r\n\r\n", 4).body == b"1234"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n",
    ],
)
def test_not_an_answer(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        read(raw)


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes(noise: bytes, begun: bool) -> None:
    try:
        read((b"HTTP/1.1 200 OK\r\n" if begun else b"") + noise)
    except ProtocolError:
        return
