"""A batch of flow records as bytes, written by the agent with nanoarrow alone (`decode` is the server's end).

body = b"EWB1" + header length (u32, little-endian) + header (JSON, model.batch.BatchHeader)
     + Arrow IPC stream of model.schema.AGENT_COLUMNS, in order (docs/decisions/0010)
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import nanoarrow as na
import numpy as np
from nanoarrow.ipc import StreamWriter
from numpy.typing import NDArray

from eastwest.model.batch import BatchHeader
from eastwest.model.schema import AGENT_COLUMNS, Column, Type
from eastwest.wire import header as header_json

MAGIC: Final = b"EWB1"
PREFIX: Final = struct.Struct("<4sI")
CONTENT_TYPE: Final = "application/vnd.eastwest.batch"
INGEST_PATH: Final = "/ingest/v1/batch"


@dataclass(frozen=True, slots=True)
class Words:
    """A text column of few distinct values: row i holds words[codes[i]]; the word None is null."""

    codes: NDArray[np.integer[Any]]  # (n,)
    words: Sequence[str | None]


@dataclass(frozen=True, slots=True)
class Maybe:
    """A nullable column: row i holds values[i] where valid[i], else null."""

    values: NDArray[Any]  # (n,) numbers, or (n, 16) uint8 for an address
    valid: NDArray[np.bool_]  # (n,)


ColumnData = NDArray[Any] | Words | Maybe
Columns = Mapping[str, ColumnData]

_DTYPES: Final = {Type.U8: np.uint8, Type.U16: np.uint16, Type.U64: np.uint64, Type.TIME: np.int64, Type.IP: np.uint8}


def encode(header: BatchHeader, columns: Columns) -> bytes:
    """Header and records as one body. `columns` holds exactly AGENT_COLUMNS, each `header.records` long."""
    return frame(header, encode_records(columns, header.records))


def frame(header: BatchHeader, records: bytes) -> bytes:
    """Put a (new) header before records that `encode_records` made; a retry changes only `sent_at_ns`."""
    text = header_json.to_json(header)
    return b"".join((PREFIX.pack(MAGIC, len(text)), text, records))


def encode_records(columns: Columns, rows: int) -> bytes:
    """The Arrow IPC stream of one record batch. Raises ValueError when the columns are not the schema's."""
    wanted, given = {c.name for c in AGENT_COLUMNS}, set(columns)
    if wanted != given:
        raise ValueError(f"columns differ from the schema: {', '.join(sorted(wanted ^ given))}")
    children = [_array(c, columns[c.name], rows) for c in AGENT_COLUMNS]
    batch = na.c_array_from_buffers(_SCHEMA, rows, [None], null_count=0, children=children)
    out = io.BytesIO()
    with StreamWriter.from_writable(out) as writer:
        writer.write_stream(batch)
    return out.getvalue()


def _type(column: Column) -> Any:
    n = column.nullable
    match column.type:
        case Type.STRING:
            return na.string(nullable=n)
        case Type.U8:
            return na.uint8(nullable=n)
        case Type.U16:
            return na.uint16(nullable=n)
        case Type.U64:
            return na.uint64(nullable=n)
        case Type.TIME:
            return na.int64(nullable=n)
        case Type.IP:
            return na.fixed_size_binary(16, nullable=n)


_SCHEMA: Final = na.struct({c.name: _type(c) for c in AGENT_COLUMNS}, nullable=False)


def _array(column: Column, data: ColumnData, rows: int) -> Any:
    if column.type is Type.STRING:
        if not isinstance(data, Words):
            raise ValueError(f"{column.name}: a text column is given as Words")
        valid, buffers, length = *_text_buffers(data), len(data.codes)
    else:
        if isinstance(data, Words):
            raise ValueError(f"{column.name}: only a text column is given as Words")
        values, valid = (data.values, data.valid) if isinstance(data, Maybe) else (data, None)
        buffers, length = [np.ascontiguousarray(values, _DTYPES[column.type])], len(values)
        if column.type is Type.IP and values.shape != (length, 16):
            raise ValueError(f"{column.name}: addresses have shape (n, 16), not {values.shape}")
    if length != rows:
        raise ValueError(f"{column.name}: {length} rows, expected {rows}")
    nulls = 0 if valid is None else rows - int(np.count_nonzero(valid))
    if nulls and not column.nullable:
        raise ValueError(f"{column.name}: holds null, but is not nullable")
    bitmap = np.packbits(valid, bitorder="little") if valid is not None and nulls else None
    return na.c_array_from_buffers(_type(column), rows, [bitmap, *buffers], null_count=nulls)


def _text_buffers(data: Words) -> tuple[NDArray[np.bool_] | None, list[NDArray[Any]]]:
    """(validity or None, [offsets, bytes]) without a Python loop over rows."""
    encoded = [(word or "").encode() for word in data.words]
    lengths = np.array([len(word) for word in encoded], np.int64)
    width = max(1, int(lengths.max(initial=0)))
    table = np.frombuffer(b"".join(w.ljust(width, b"\0") for w in encoded), np.uint8).reshape(len(encoded), width)
    row_lengths = lengths[data.codes]
    offsets = np.zeros(len(data.codes) + 1, np.int32)
    np.cumsum(row_lengths, out=offsets[1:])
    used = np.arange(width) < lengths[:, None]
    text = table[data.codes][used[data.codes]]
    if None not in data.words:
        return None, [offsets, text]
    return np.array([word is not None for word in data.words])[data.codes], [offsets, text]
