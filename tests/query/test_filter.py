"""The filter language: what is understood, and how it says what is not."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eastwest.model.schema import BY_NAME
from eastwest.query.errors import ParameterError
from eastwest.query.filter import parse
from eastwest.query.filter.parser import MAX_CHARS, MAX_DEPTH
from eastwest.query.filter.tokens import Kind, quoted, tokens
from eastwest.query.filter.words import NOT_IN_AN_EDGE, WORDS
from eastwest.query.health import BUCKET_COLUMNS
from eastwest.store.predicates import EVERYTHING, And, Compare, Glob, InNetwork, IsNull, Not, OneOf, Operator, Or
from eastwest.store.statement import Binder
from eastwest.store.where import condition


def eq(column: str, value: object) -> Compare:
    return Compare(column, Operator.EQ, value)  # type: ignore[arg-type]


def ip(text: str) -> ipaddress.IPv6Address:
    return ipaddress.IPv6Address(text)


@pytest.mark.parametrize(
    ("text", "predicate"),
    [
        ("", EVERYTHING),
        ("  ", EVERYTHING),
        ("src_namespace=ui", eq("src_namespace", "ui")),
        ("src_namespace == ui", eq("src_namespace", "ui")),
        ("SRC_NAMESPACE = 'a b'", eq("src_namespace", "a b")),
        (r'src_pod = "a\"b\\c"', eq("src_pod", 'a"b\\c')),
        ("src_namespace != ui", Not(eq("src_namespace", "ui"))),
        ("src_pod ~ ui", Glob("src_pod", "*ui*")),
        ("src_pod ~ ui-*", Glob("src_pod", "ui-*")),
        ("src_pod !~ ui", Not(Glob("src_pod", "*ui*"))),
        ("dst_port in (80, 443)", OneOf("dst_port", (80, 443))),
        ("dst_port not in (80)", Not(OneOf("dst_port", (80,)))),
        ("dst_port>=8k", Compare("dst_port", Operator.GE, 8000)),
        ("port=80", eq("dst_port", 80)),
        ("bytes_forward>1MB", Compare("bytes_forward", Operator.GT, 1_000_000)),
        ("bytes_forward<1.5KiB", Compare("bytes_forward", Operator.LT, 1536)),
        ("wire_bytes_reverse<=64 and dst_port=1", And((Compare("wire_bytes_reverse", Operator.LE, 64), eq("dst_port", 1)))),
        ("verdict=denied", eq("verdict", "denied")),
        ("verdict in (denied, partly)", OneOf("verdict", ("denied", "partly"))),
        ("verdict=null", IsNull("verdict")),
        ("policy_denied>0", Compare("policy_denied", Operator.GT, 0)),
        ("denied_by~shop/web", Or((Glob("egress_denied_by", "*shop/web*"), Glob("ingress_denied_by", "*shop/web*")))),
        ("ingress_denied_by~isolation", Glob("ingress_denied_by", "*isolation*")),
        ("protocol=tcp", eq("protocol", 6)),
        ("proto in (UDP, 132)", OneOf("protocol", (17, 132))),
        ("src_ip=10.0.0.1", eq("src_ip", ip("::ffff:10.0.0.1"))),
        ("dst_ip=2001:db8::1", eq("dst_ip", ip("2001:db8::1"))),
        ("dst_ip=10.0.0.0/8", InNetwork("dst_ip", ip("::ffff:10.0.0.0"), ip("::ffff:10.255.255.255"))),
        ("dst_ip=2001:db8::/32", InNetwork("dst_ip", ip("2001:db8::"), ip("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"))),
        ("dst_ip in (10.0.0.1, 10.1.0.0/16)", Or((
            OneOf("dst_ip", (ip("::ffff:10.0.0.1"),)),
            InNetwork("dst_ip", ip("::ffff:10.1.0.0"), ip("::ffff:10.1.255.255")),
        ))),
        ("src_pod = null", IsNull("src_pod")),
        ("src_pod != null", Not(IsNull("src_pod"))),
        ("src_pod = 'null'", eq("src_pod", "null")),
        ("namespace=ui", Or((eq("src_namespace", "ui"), eq("dst_namespace", "ui")))),
        ("namespace!=ui", Not(Or((eq("src_namespace", "ui"), eq("dst_namespace", "ui"))))),
        ("first_seen_ns > 2026-11-22T12:00:00Z", Compare("first_seen_ns", Operator.GT, 1_795_348_800_000_000_000)),
        ("dst_port=1 or dst_port=2 and dst_port=3", Or((eq("dst_port", 1), And((eq("dst_port", 2), eq("dst_port", 3)))))),
        ("(dst_port=1 or dst_port=2) and dst_port=3", And((Or((eq("dst_port", 1), eq("dst_port", 2))), eq("dst_port", 3)))),
        ("not dst_port=1 AND not (dst_port=2)", And((Not(eq("dst_port", 1)), Not(eq("dst_port", 2))))),
    ],
)  # fmt: skip
def test_what_it_means(text: str, predicate: object) -> None:
    assert parse(text) == predicate


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("src_namspace=ui", (0, 12), "did you mean src_namespace"),
        ("dst_port=80 and", (15, 16), "expected a column"),
        ("dst_port", (8, 9), "expected an operator"),
        ("dst_port=", (9, 10), "expected a value"),
        ("dst_port=eighty", (9, 15), "a number"),
        ("dst_port ~ 80", (9, 10), "cannot compare"),
        ("src_namespace > ui", (14, 15), "cannot compare"),
        ("src_ip=10.0.0.1/8", (7, 17), "the network is 10.0.0.0/8"),
        ("src_ip=300.0.0.1", (7, 16), "not an IP address"),
        ("protocol=tpc", (9, 12), "unknown protocol"),
        ("bytes_forward>1XB", (14, 17), "1MB"),
        ("bytes_forward>1.5", (14, 17), "whole number"),
        ("bytes_forward>99999999999TB", (14, 27), "2^63"),
        ("reporter=me", (9, 11), "client, server, unknown"),
        ("reporter=null", (9, 13), "never unknown"),
        ("dst_port in 80", (12, 14), "expected ("),
        ("dst_port in (80", (12, 13), "expected , or )"),
        ("dst_port in ()", (13, 14), "expected a value"),
        ("(dst_port=80", (0, 1), "not closed"),
        ("dst_port=80)", (11, 12), "closes nothing"),
        ("dst_port=80 dst_port=81", (12, 20), "expected and, or"),
        ("src_pod='ui", (8, 11), "does not end"),
        ("src_pod ! ui", (8, 9), "means nothing"),
        ("src_pod=and", (8, 11), "in quotes"),
        ("pod_uid=x", (0, 7), "no column"),
        ("verdict=refused", (8, 15), "one of denied, partly, would_deny, allowed"),
        ("first_seen_ns > 2026-13-01T00:00:00Z", (16, 36), "not a moment"),
        ("(" * (MAX_DEPTH + 1), (MAX_DEPTH, MAX_DEPTH + 1), "deep"),
        ("x" * (MAX_CHARS + 1), (MAX_CHARS, MAX_CHARS + 1), "longer than"),
    ],
)
def test_errors_point_at_the_characters(text: str, place: tuple[int, int], message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        parse(text)
    assert (caught.value.position, caught.value.end) == place
    assert caught.value.parameter == "filter"
    assert message in caught.value.detail


def test_every_column_of_an_edge_is_a_word() -> None:
    assert set(BY_NAME) - set(NOT_IN_AN_EDGE) - set(BUCKET_COLUMNS) <= set(WORDS)


def _compiles(text: str) -> None:
    """Understood text becomes SQL without any of its values in it; other text is an error within the text."""
    wrong: ParameterError | None = None
    try:
        predicate = parse(text)
    except ParameterError as error:
        wrong = error
    if wrong is not None:
        assert wrong.position is not None
        assert wrong.end is not None
        assert 0 <= wrong.position <= min(wrong.end, len(text))
        assert wrong.end <= len(text) + 1
        return
    binder = Binder()
    sql = condition(predicate, binder)
    assert set(sql) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ ().,<>=!{}:"), sql
    for value in binder.parameters.values():
        assert not (isinstance(value, str) and len(value) > 9 and value in sql)


@given(st.text(max_size=200))
def test_any_text_is_understood_or_refused(text: str) -> None:
    _compiles(text)


PIECES = [*WORDS, "=", "!=", "~", "!~", "<", ">=", "in", "not", "and", "or", "(", ")", ",", "null", "80", "1MB", "ui",
          "10.0.0.0/8", "'x'", '"', "tcp", "client", "*", " ", "2026-11-22T12:00:00Z", "'; DROP TABLE flows --"]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=25))
def test_any_words_are_understood_or_refused(pieces: list[str]) -> None:
    _compiles(" ".join(pieces))


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=40))
def test_quoting_keeps_every_value(value: str) -> None:
    found = tokens(quoted(value))
    assert [t.kind for t in found[1:]] == [Kind.END]
    assert found[0].text == value


VALUES = st.text(alphabet=st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20)
CONDITIONS = st.builds(
    lambda column, operator, value: f"{column} {operator} {quoted(value)}",
    st.sampled_from(["src_pod", "namespace", "dns_name", "service"]),
    st.sampled_from(["=", "!=", "~", "!~"]),
    VALUES.filter(lambda v: v.lower() != "null"),
)


@given(st.lists(CONDITIONS, min_size=1, max_size=6), st.sampled_from([" and ", " or ", " AND\n"]))
def test_well_formed_filters_are_understood(conditions: list[str], between: str) -> None:
    parse(between.join(f"({c})" for c in conditions))
