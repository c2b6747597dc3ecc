from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.factories_dns import answer, query
from eastwest.agent.dns.message import AAAA, CNAME, A, MalformedMessageError, parse, read_name
from eastwest.model.flow import ip_bytes

HEADER = struct.pack("!6H", 7, 0x8180, 1, 1, 0, 0)


def test_a_query_names_what_is_asked() -> None:
    message = parse(query("Shop.Example.COM", "AAAA", ident=513))
    assert (message.id, message.is_response, message.opcode, message.complete) == (513, False, 0, True)
    assert [(q.name, q.type) for q in message.questions] == [("shop.example.com", AAAA)]


def test_an_answer_with_an_alias_and_both_families() -> None:
    payload = answer(
        "www.shop.example",
        ("www.shop.example", "CNAME", "shop.example"),
        ("shop.example", "A", "192.0.2.1"),
        ("shop.example", "AAAA", "2001:db8::1"),
        ("shop.example", "TXT", "not an address"),
    )
    message = parse(payload)
    assert message.is_response
    assert message.complete
    assert [(a.type, a.name, a.target, a.address, a.ttl_s) for a in message.answers] == [
        (CNAME, "www.shop.example", "shop.example", None, 30),
        (A, "shop.example", None, ip_bytes("192.0.2.1"), 30),
        (AAAA, "shop.example", None, ip_bytes("2001:db8::1"), 30),
    ]


def test_the_response_code_is_kept() -> None:
    assert parse(answer("nowhere.example", rcode=3)).rcode == 3


@pytest.mark.parametrize("size", range(12, len(answer("a.example", ("a.example", "A", "192.0.2.1")))))
def test_a_cut_message_says_that_it_is_incomplete(size: int) -> None:
    payload = answer("a.example", ("a.example", "A", "192.0.2.1"))[:size]
    assert not parse(payload, cut=True).complete
    with pytest.raises(MalformedMessageError):
        parse(payload)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (b"\xc0\x0c", "pointer at 12 to 12"),  # to itself
        (b"\x01a\xc0\x0c", "pointer"),  # a loop through a label
        (b"\xc0\x40", "pointer"),  # forward
        (b"\xc0\x02", "pointer"),  # into the header
        (b"\x40abc", "label type 1"),
        (b"\x3f" + b"a" * 63 + (b"\x3f" + b"a" * 63) * 3 + b"\x00", "255"),
    ],
)
def test_names_that_break_the_rules_are_refused(name: bytes, why: str) -> None:
    with pytest.raises(MalformedMessageError, match=why):
        parse(HEADER + name + b"\0\1\0\1" + b"\0" * 16)


def test_bytes_that_are_not_text_are_written_in_decimal() -> None:
    name, _ = read_name(b"\0" * 12 + b"\x04a.\xffB\x02\\ \x00", 12)
    assert name == "a\\046\\255b.\\092\\032"


def test_the_root_has_a_name() -> None:
    assert parse(struct.pack("!6H", 1, 0x100, 1, 0, 0, 0) + b"\0\0\2\0\1").questions[0].name == "."


@given(st.binary(max_size=600), st.booleans())
@settings(max_examples=500, deadline=None)
def test_any_bytes_either_parse_or_are_refused(payload: bytes, cut: bool) -> None:
    try:
        message = parse(payload, cut=cut)
    except MalformedMessageError:
        return
    assert all(len(q.name) <= 4 * 255 for q in message.questions)


@given(st.integers(0, 400), st.integers(0, 255), st.booleans())
@settings(max_examples=500, deadline=None)
def test_a_damaged_answer_never_hangs_or_escapes(at: int, byte: int, cut: bool) -> None:
    payload = bytearray(
        answer("a.b.example", ("a.b.example", "CNAME", "c.b.example"), ("c.b.example", "A", "192.0.2.1"))
    )
    payload[at % len(payload)] = byte
    try:
        parse(bytes(payload), cut=cut)
    except MalformedMessageError:
        return


label = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=20)


@given(st.lists(label, min_size=1, max_size=6), st.lists(st.ip_addresses(v=4), max_size=8))
@settings(max_examples=200, deadline=None)
def test_it_reads_what_another_implementation_wrote(labels: list[str], addresses: list[object]) -> None:
    name = ".".join(labels)
    message = parse(answer(name, *[(name, "A", str(a)) for a in addresses]))
    assert message.questions[0].name == name
    assert [a.address for a in message.answers] == [ip_bytes(str(a)) for a in addresses]
