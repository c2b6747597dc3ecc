"""The header survives JSON, and a hostile one is named, not trusted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eastwest.wire.header import BatchError, from_json, to_json
from wire.factories_wire import make_header


def test_round_trip() -> None:
    assert from_json(to_json(make_header())) == make_header()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("node",), 3, "header.node: expected text"),
        (("node",), "\ud800", "lone surrogate"),
        (("seq",), True, "header.seq: expected an integer"),
        (("seq",), 2**64, "outside"),
        (("books",), {}, "header.books: expected a list"),
        (("books", 0, "hook"), 1, "books.0..hook: expected an object"),
        (("books", 0, "hook", "bytes"), -1, "books.0..hook.bytes"),
        (("hooks", 0, "state"), "maybe", "hooks.0..state: expected one of"),
        (("hooks", 0, "columns"), [1], "columns.0.: expected text"),
        (("shipping_lost_windows",), [[1]], "expected .start_ns, end_ns."),
    ],
)
def test_wrong_fields_are_named(path: tuple[Any, ...], value: Any, message: str) -> None:
    raw = json.loads(to_json(make_header()))
    at = raw
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    with pytest.raises(BatchError, match=message):
        from_json(json.dumps(raw).encode())


def test_missing_field_is_named() -> None:
    raw = json.loads(to_json(make_header()))
    del raw["boot_id"]
    with pytest.raises(BatchError, match=r"header\.boot_id: missing"):
        from_json(json.dumps(raw).encode())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(list(json.loads(to_json(make_header())))), json_values)
def test_any_value_in_any_field_is_read_or_refused(name: str, value: Any) -> None:
    raw = json.loads(to_json(make_header())) | {name: value}
    try:
        from_json(json.dumps(raw).encode())
    except BatchError:
        return


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(BatchError):
        from_json(b"[" * 100_000)
