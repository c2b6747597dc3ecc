"""encode on the node, decode on the server: what goes in comes out, and nothing else gets through."""

from __future__ import annotations

import struct

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eastwest.model.schema import AGENT_COLUMNS
from eastwest.wire.batch import MAGIC, PREFIX, Maybe, Words, encode, encode_records, frame
from eastwest.wire.decode import AGENT_SCHEMA, BatchError, decode
from wire.factories_wire import make_columns, make_header


@pytest.mark.parametrize("rows", [0, 1, 3, 1000])
def test_round_trip(rows: int) -> None:
    header = make_header(records=rows)
    got, table = decode(encode(header, make_columns(rows)))
    assert got == header
    assert table.schema == AGENT_SCHEMA
    assert table.num_rows == rows


def test_values_and_nulls() -> None:
    _, table = decode(encode(make_header(), make_columns()))
    row0, row1 = table.slice(0, 2).to_pylist()
    for c in AGENT_COLUMNS:
        assert (row0[c.name] is None) == c.nullable
        assert row1[c.name] is not None
    assert row0["node"] == "é"
    assert row1["node"] == "two"
    assert row1["bytes_forward"] == 1
    assert row1["dst_ip"] == bytes.fromhex("00000000000000000000ffff0a000001")


def test_empty_words_column_of_no_rows() -> None:
    columns = {**make_columns(0), "node": Words(np.zeros(0, np.int64), ())}
    assert decode(encode(make_header(records=0), columns))[1].num_rows == 0


def test_encode_refuses_what_is_not_the_schema() -> None:
    columns = make_columns()
    with pytest.raises(ValueError, match="differ from the schema: node"):
        encode_records({k: v for k, v in columns.items() if k != "node"}, 3)
    with pytest.raises(ValueError, match="3 rows, expected 4"):
        encode_records(columns, 4)
    with pytest.raises(ValueError, match="not nullable"):
        encode_records({**columns, "protocol": Maybe(np.zeros(3), np.array([True, False, True]))}, 3)
    with pytest.raises(ValueError, match="shape"):
        encode_records({**columns, "dst_ip": np.zeros((3, 4), np.uint8)}, 3)
    with pytest.raises(ValueError, match="as Words"):
        encode_records({**columns, "node": np.zeros(3)}, 3)
    with pytest.raises(ValueError, match="only a text column"):
        encode_records({**columns, "protocol": Words(np.zeros(3, int), ("x",))}, 3)


def _stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def test_decode_names_the_problem() -> None:
    header, body = make_header(), encode(make_header(), make_columns())
    table = decode(body)[1]
    for bad, message in (
        (b"EW", "too short"),
        (b"XXXX" + body[4:], "not an eastwest batch"),
        (PREFIX.pack(MAGIC, 2**31) + body[8:], "past the end"),
        (PREFIX.pack(MAGIC, 2) + b"[]", "expected an object"),
        (PREFIX.pack(MAGIC, 2) + b"{]", "not JSON"),
        (frame(make_header(version=9), b""), "reads version 1"),
        (frame(header, b""), "Arrow IPC"),
        (frame(header, b"nonsense"), "Arrow IPC"),
        (frame(make_header(records=4), encode_records(make_columns(), 3)), "says 4, the stream holds 3"),
        (frame(header, _stream(table.drop_columns(["node"]))), "missing .'node'"),
        (frame(header, _stream(table.cast(_with_type("protocol", pa.uint64())))), "column protocol: expected uint8"),
        (frame(make_header(window_end_ns=1), b""), "window_end_ns"),
        (frame(make_header(seq=-1), b""), "header.seq"),
    ):
        with pytest.raises(BatchError, match=message):
            decode(bad)


def test_an_agent_of_an_older_schema_is_accepted_and_what_it_does_not_know_is_null() -> None:
    table = decode(encode(make_header(), make_columns()))[1]
    newer = ["policy_allowed", "policy_denied", "policy_would_deny", "allowed_by", "denied_by"]
    got = decode(frame(make_header(), _stream(table.drop_columns(newer))))[1]
    assert got.schema == AGENT_SCHEMA
    assert [got.column(name).null_count for name in newer] == [3] * 5
    assert got.drop_columns(newer) == table.drop_columns(newer)


def test_columns_in_another_order_or_unheard_of_are_refused() -> None:
    table = decode(encode(make_header(), make_columns()))[1]
    reversed_ = table.select(table.column_names[::-1])
    with pytest.raises(BatchError, match="another order"):
        decode(frame(make_header(), _stream(reversed_)))
    with pytest.raises(BatchError, match=r"unexpected \['mood'\].*update the server first"):
        decode(frame(make_header(), _stream(table.append_column("mood", table["drops"]))))
    with pytest.raises(BatchError, match=r"missing \['src_port'\]"):
        decode(frame(make_header(), _stream(table.drop_columns(["src_port"]))))


def _with_type(name: str, type_: pa.DataType) -> pa.Schema:
    index = AGENT_SCHEMA.get_field_index(name)
    return AGENT_SCHEMA.set(index, pa.field(name, type_, nullable=False))


def test_null_in_a_column_that_is_not_nullable_is_refused() -> None:
    table = decode(encode(make_header(), make_columns()))[1]
    index = table.schema.get_field_index("protocol")
    holed = table.set_column(index, AGENT_SCHEMA.field(index), pa.array([1, None, 2], pa.uint8()))
    with pytest.raises(BatchError, match="protocol"):
        decode(frame(make_header(), _stream(holed)))


@given(st.binary(max_size=300))
def test_any_bytes_are_an_error_not_a_crash(noise: bytes) -> None:
    for body in (noise, MAGIC + noise, PREFIX.pack(MAGIC, len(noise)) + noise, frame(make_header(), noise)):
        with pytest.raises(BatchError):
            decode(body)


_BODY = encode(make_header(), make_columns())


@settings(max_examples=400)
@given(st.data())
def test_damaged_batches_are_read_or_refused(data: st.DataObject) -> None:
    body = bytearray(_BODY)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 4))
        body[at : at + 4] = struct.pack("<I", data.draw(st.integers(0, 2**32 - 1)))
    cut = data.draw(st.integers(0, len(body)))
    for damaged in (bytes(body), bytes(body[:cut])):
        try:
            _, table = decode(damaged)
        except BatchError:
            continue
        table.to_pylist()
