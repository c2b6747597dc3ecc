"""The server's end of a batch: any bytes in, a checked (header, table) or a BatchError out.

The agent never imports this: it needs pyarrow. Nothing below decides what the records mean.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from eastwest.model.batch import BatchHeader
from eastwest.model.schema import AGENT_COLUMNS, MAY_BE_LEFT_OUT, Column, Type
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
    """Read and check one body: the table has AGENT_SCHEMA. Raises BatchError (a ValueError) that says what is wrong.

    Columns that an older agent does not know (MAY_BE_LEFT_OUT) are null.
    """
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
        table = _completed(table)
    except BatchError:
        raise
    except (pa.ArrowException, ValueError, OSError, MemoryError, OverflowError) as error:
        raise BatchError(f"records are not a valid Arrow IPC stream: {str(error)[:200]}") from None
    return table


def _check_schema(schema: pa.Schema) -> None:
    """Names, order, types and nullability, before any record is read."""
    given = set(schema.names)
    wanted = [name for name in AGENT_SCHEMA.names if name in given or name not in MAY_BE_LEFT_OUT]
    if schema.names != wanted:
        missing = [n for n in wanted if n not in given]
        extra = [n for n in schema.names if n not in AGENT_SCHEMA.names]
        newer = ": the agent is newer than this server; update the server first" if extra and not missing else ""
        raise BatchError(
            f"columns differ from the schema: missing {missing}, unexpected {extra[:20]}, or another order{newer}"
        )
    for got in schema:
        want = AGENT_SCHEMA.field(got.name)
        if got.type != want.type or got.nullable != want.nullable:
            raise BatchError(
                f"column {got.name}: expected {want.type}{'' if want.nullable else ' not null'}, "
                f"got {str(got.type)[:60]}{'' if got.nullable else ' not null'}"
            )


def _completed(table: pa.Table) -> pa.Table:
    """Every column of AGENT_SCHEMA; nulls for what the agent left out."""
    given = set(table.column_names)
    if len(given) == len(AGENT_SCHEMA):
        return table
    columns = [
        table.column(field.name) if field.name in given else pa.nulls(table.num_rows, field.type)
        for field in AGENT_SCHEMA
    ]
    return pa.table(columns, schema=AGENT_SCHEMA)


def _check(header: BatchHeader, table: pa.Table) -> None:
    if table.num_rows != header.records:
        raise BatchError(f"header.records says {header.records}, the stream holds {table.num_rows}")
    for column in AGENT_COLUMNS:
        nulls = table.column(column.name).null_count
        if nulls and not column.nullable:
            raise BatchError(f"column {column.name}: {nulls} nulls, but it is not nullable")
