"""The little language of `eastwest.lab/calls`."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eastwest.lab.state import LabError
from eastwest.lab.workload.calls import Target, parse


def test_every_field() -> None:
    (call,) = parse(
        "- {to: POST http://web.shop.svc/x, rate: 10/m, keepalive: true, connections: 3, family: 6, timeout: 500ms, bytes: 9}"
    )
    assert call.targets == (Target("http", "web.shop.svc", 80, "/x", "POST"),)
    assert (call.period_s, call.keepalive, call.connections, call.family) == (6.0, True, 3, 6)
    assert (call.timeout_s, call.size_bytes, call.when) == (0.5, 9, None)


def test_targets() -> None:
    (call,) = parse("- to: ['tcp://db:5432', 'udp://[fd00::1]:53', 'https://s3.amazonaws.com/b', 'dns://web']")
    assert [str(t) for t in call.targets] == [
        "tcp://db:5432",
        "udp://[fd00::1]:53",
        "https://s3.amazonaws.com:443/b",
        "dns://web:53",
    ]
    assert (call.period_s, call.when) == (None, None)


def test_when_and_outside_load() -> None:
    assert parse("- {when: post /buy, to: tcp://db:1}")[0].when == "POST /buy"
    assert parse("- {to: POST /buy, every: 2s}", default_host="203.0.113.1")[0].targets[0].host == "203.0.113.1"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}", "must be a list"),
        ("- 3", r"\[0\]: must be a mapping"),
        ("- {to: ftp://x}", r"\[0\].to"),
        ("- {to: tcp://x}", "needs a port"),
        ("- {to: http://x, rat: 1/s}", r"\[0\].rat: unknown field"),
        ("- {to: http://x, rate: often}", r"\[0\].rate"),
        ("- {to: http://x, rate: 1/s, every: 2s}", "exclude each other"),
        ("- {to: http://x, family: 5}", r"\[0\].family"),
        ("- {to: http://x, connections: 0}", r"\[0\].connections"),
        ("- [", "not YAML"),
    ],
)
def test_a_mistake_is_named(text: str, words: str) -> None:
    with pytest.raises(LabError, match=words):
        parse(text)


@given(st.text(max_size=80))
def test_any_text_is_calls_or_a_lab_error(text: str) -> None:
    with contextlib.suppress(LabError):
        parse(text)
