"""The server's end of a batch: any bytes in, a checked (header, table) or a BatchError out.

The agent never imports this: it needs pyarrow. Nothing below decides what the records mean.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from eastwest.model.batch import BatchHeader
from eastwest.model.schema import AGENT_COLUMNS, Column, Type
from eastwest.wire import header as header_json
from eastwest.wire.batch import MAGIC, PREFIX
from eastwest.wire.header import BatchError

__all__ = ["AGENT_SCHEMA", "BatchError", "decode"]

_ARROW: Final[dict[Type, pa.DataType]] = {
    Type.STRING: pa.string(),
    Type.U8: pa.uint8(),
    Type.U16: pa.uint16(),
    Type.U64: pa.uint64(),
    Type.TIME: pa.int64(),
    Type.IP: pa.binary(16),
}


def _field(column: Column) -> pa.Field[pa.DataType]:
    return pa.field(column.name, _ARROW[column.type], nullable=column.nullable)


AGENT_SCHEMA: Final = pa.schema([_field(c) for c in AGENT_COLUMNS])
"""What every accepted table looks like."""


def decode(body: bytes) -> tuple[BatchHeader, pa.Table]:
    """Read and check one body. Raises BatchError (a ValueError) that says what is wrong; never anything else."""
    if len(body) < PREFIX.size:
        raise BatchError(f"body of {len(body)} bytes is too short for a batch")
    magic, length = PREFIX.unpack_from(body)
    if magic != MAGIC:
        raise BatchError(f"body begins with {magic!r}, not {MAGIC!r}: not an eastwest batch")
    end = PREFIX.size + length
    if end > len(body):
        raise BatchError(f"header of {length} bytes reaches past the end of a body of {len(body)} bytes")
    header = header_json.from_json(body[PREFIX.size : end])
    table = _read_stream(body, end)
    _check(header, table)
    return header, table


def _read_stream(body: bytes, start: int) -> pa.Table:
    try:
        with pa.ipc.open_stream(pa.py_buffer(body).slice(start)) as reader:
            _check_schema(reader.schema)
            table = reader.read_all()
        table.validate(full=True)
    except BatchError:
        raise
    except (pa.ArrowException, ValueError, OSError, MemoryError, OverflowError) as error:
        raise BatchError(f"records are not a valid Arrow IPC stream: {str(error)[:200]}") from None
    return table


def _check_schema(schema: pa.Schema) -> None:
    """Names, order, types and nullability, before any record is read."""
    if schema.names != AGENT_SCHEMA.names:
        missing = [n for n in AGENT_SCHEMA.names if n not in schema.names]
        extra = [n for n in schema.names if n not in AGENT_SCHEMA.names]
        raise BatchError(
            f"columns differ from the schema: missing {missing}, unexpected {extra[:20]}, or another order"
        )
    for got, want in zip(schema, AGENT_SCHEMA, strict=True):
        if got.type != want.type or got.nullable != want.nullable:
            raise BatchError(
                f"column {got.name}: expected {want.type}{'' if want.nullable else ' not null'}, "
                f"got {str(got.type)[:60]}{'' if got.nullable else ' not null'}"
            )


def _check(header: BatchHeader, table: pa.Table) -> None:
    if table.num_rows != header.records:
        raise BatchError(f"header.records says {header.records}, the stream holds {table.num_rows}")
    for column in AGENT_COLUMNS:
        nulls = table.column(column.name).null_count
        if nulls and not column.nullable:
            raise BatchError(f"column {column.name}: {nulls} nulls, but it is not nullable")
