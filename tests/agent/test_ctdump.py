"""ctnetlink dumps: what the kernel really answered, cut short, damaged, and anything else."""

from __future__ import annotations

import base64
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eastwest.agent import ctdump
from eastwest.model.flow import ip_from_bytes

RECORDED = base64.b64decode(
    "1AAAAAABIgABAAAAkHsAAAIAAAA0AAGAFAABgAgAAQAKTQACCAACAApgAAocAAKABQABAAYAAAAGAAIAp5wAAAYAAwAAUAAANAACgBQAAYAIAAEACk0A"
    "AwgAAgAKTQACHAACgAUAAQAGAAAABgACAB+QAAAGAAMAp5wAAAgAAwAAAAGuCAAIAAAAAAAIAAwAwBDz6wgACwAAAAABCAAHAAAAAHcwAASALAABgAUA"
    "AQAHAAAABQACAAoAAAAFAAMACgAAAAYABAAnAAAABgAFACMAAACkAAAAAAEiAAEAAACQewAAAgAAADQAAYAUAAGACAABAApNAAIIAAIACmAAChwAAoAF"
    "AAEAEQAAAAYAAgC9VQAABgADAAA1AAA0AAKAFAABgAgAAQAKTQADCAACAApNAAIcAAKABQABABEAAAAGAAIAH5AAAAYAAwC9VQAACAADAAAAAaoIAAgA"
    "AAAAAAgADAAyg9JBCAALAAAAAAEIAAcAAAAAHbQAAAAAASIAAQAAAJB7AAACAAAAPAABgBQAAYAIAAEACk0AAggAAgAKYAALJAACgAUAAQABAAAABgAE"
    "AHuPAAAFAAUACAAAAAUABgAAAAAAPAACgBQAAYAIAAEACk0AAwgAAgAKTQACJAACgAUAAQABAAAABgAEAHuPAAAFAAUAAAAAAAUABgAAAAAACAADAAAA"
    "AaoIAAgAAAAAAAgADADeGdu1CAALAAAAAAEIAAcAAAAAHQQBAAAAASIAAQAAAJB7AAAKAAAATAABgCwAAYAUAAMA/XcAAAAAAAAAAAAAAAAAARQABAD9"
    "lgAAAAAAAAAAAAAAAAAQHAACgAUAAQAGAAAABgACAMCyAAAGAAMAAFAAAEwAAoAsAAGAFAADAP13AAAAAAAAAAAAAAAAAAIUAAQA/XcAAAAAAAAAAAAA"
    "AAAAARwAAoAFAAEABgAAAAYAAgAfkAAABgADAMCyAAAIAAMAAAABrggACAAAAAAACAAMADuiJjAIAAsAAAAAAQgABwAAAAB3MAAEgCwAAYAFAAEABwAA"
    "AAUAAgAKAAAABQADAAoAAAAGAAQAJwAAAAYABQAjAAAA"
)
"""Linux 6.18: TCP and UDP through a Service, a ping through one (its tuple has no ports), TCP over IPv6."""
DONE = struct.pack("=IHHIIi", 20, 3, 2, 1, 0, 0)
ALL = [
    ("10.77.0.2", 42908, "10.96.0.10", 80, "10.77.0.3", 8080, 6),
    ("10.77.0.2", 48469, "10.96.0.10", 53, "10.77.0.3", 8080, 17),
    ("fd77::1", 49330, "fd96::10", 80, "fd77::2", 8080, 6),
]


def rows(dump: ctdump.Dump) -> list[tuple[object, ...]]:
    t = dump.tuples
    ends = [[str(ip_from_bytes(bytes(a))) for a in t[n]] for n in ("src", "asked", "answerer")]
    ports = [t[f"{n}_port"].tolist() for n in ("src", "asked", "answerer")]
    return list(zip(ends[0], ports[0], ends[1], ports[1], ends[2], ports[2], t["protocol"].tolist(), strict=True))


def test_what_a_kernel_answered() -> None:
    dump, done = ctdump.parse(RECORDED)
    assert (rows(dump), dump.unread, done) == (ALL, 0, False)
    dump, done = ctdump.parse(RECORDED + DONE)
    assert (rows(dump), dump.unread, done) == (ALL, 0, True)


def test_an_untranslated_connection_is_left_out() -> None:
    """As kernels without the filter send them."""
    first = bytearray(RECORDED[:212])
    first[first.index(b"\x1f\x90") : first.index(b"\x1f\x90") + 2] = b"\x00\x50"
    at = first.index(bytes([10, 77, 0, 3]))
    first[at : at + 4] = bytes([10, 96, 0, 10])
    dump, _ = ctdump.parse(bytes(first))
    assert (len(dump.tuples), dump.unread) == (0, 0)


@pytest.mark.parametrize("length", [*range(0, 212, 7), 211])
def test_a_datagram_that_ends_too_early(length: int) -> None:
    dump, done = ctdump.parse(RECORDED[:length])
    assert (len(dump.tuples), dump.unread, done) == (0, int(length >= 16), False)


@pytest.mark.parametrize("length", [16, 17, 19, 20, 60, 123])
def test_a_message_too_short_for_two_tuples(length: int) -> None:
    """Its neighbour's bytes are not taken for its own."""
    short = struct.pack("=I", length) + RECORDED[4:length] + bytes(-length % 4)
    dump, _ = ctdump.parse(short + RECORDED[212:376])
    assert (rows(dump), dump.unread) == (ALL[1:2], 1)


@pytest.mark.parametrize("at", [n + h for n in (20, 72) for h in (0, 2, 4, 8, 16, 24, 28, 36, 46)])
def test_a_header_of_another_form_is_counted_and_not_guessed(at: int) -> None:
    damaged = bytearray(RECORDED[:212])
    damaged[at] ^= 0x10
    dump, _ = ctdump.parse(bytes(damaged))
    assert (len(dump.tuples), dump.unread) == (0, 1)


@pytest.mark.parametrize("kind", [2, 3], ids=["error", "done"])
def test_an_error_is_told(kind: int) -> None:
    with pytest.raises(PermissionError, match="not permitted"):
        ctdump.parse(struct.pack("=IHHIIi", 20, kind, 0, 1, 0, -1))


@given(st.binary(max_size=400))
def test_anything(data: bytes) -> None:
    try:
        dump, _ = ctdump.parse(data)
    except OSError:
        return
    assert len(dump.tuples) + dump.unread <= len(data) // 16


@given(st.integers(0, len(RECORDED) - 1), st.integers(0, 255))
def test_one_changed_byte(at: int, value: int) -> None:
    data = bytearray(RECORDED)
    data[at] = value
    try:
        dump, _ = ctdump.parse(bytes(data))
    except OSError:
        return
    assert np.isin(dump.tuples["protocol"], [6, 17, 132]).all()
