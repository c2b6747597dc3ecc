"""flows.parquet: a table of flow records, checked against model.schema. Foreign columns are passed over.

Written so that equal tables give equal bytes. Types are taken as far as nothing is lost: wider integers, timestamps,
dictionaries, addresses as text.
"""

from __future__ import annotations

import io
from collections.abc import Collection
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from eastwest.model.flow import ip_bytes
from eastwest.model.schema import COLUMNS, EVIDENCE_REQUIRED, Column, Type

_ARROW: Final[dict[Type, Any]] = {
    Type.STRING: pa.string(),
    Type.U8: pa.uint8(),
    Type.U16: pa.uint16(),
    Type.U64: pa.uint64(),
    Type.TIME: pa.int64(),
    Type.IP: pa.binary(16),
}
_ROWS_PER_GROUP: Final = 1 << 20


class BundleError(ValueError):
    """A bundle that cannot be used; the message names the file and, where there is one, the column."""


def write_flows(table: pa.Table) -> bytes:
    """Parquet bytes of the schema's columns, in schema order. Raises BundleError as `read_flows` does."""
    checked = _checked(table, "flows").combine_chunks().replace_schema_metadata(None)
    out = io.BytesIO()
    pq.write_table(checked, out, compression="zstd", row_group_size=_ROWS_PER_GROUP, store_schema=False)
    return out.getvalue()


def read_flows(file: IO[bytes], label: str, columns: Collection[str] | None = None) -> pa.Table:
    """The schema's columns that the file has. Raises BundleError naming the column and what is wrong with it.

    `columns`: of the optional ones only these, and text as dictionaries: for millions of records that will be grouped.
    """
    try:
        parquet = pq.ParquetFile(file)
        names = parquet.schema_arrow.names
        known = [c for c in COLUMNS if c.name in names]
        if columns is not None:
            known = [c for c in known if c.name in columns or c.name in EVIDENCE_REQUIRED]
            texts = [
                c.name
                for c in known
                if c.type is Type.STRING and pa.types.is_string(parquet.schema_arrow.field(c.name).type)
            ]
            file.seek(0)
            parquet = pq.ParquetFile(file, read_dictionary=texts)
        table = parquet.read(columns=[c.name for c in known])
    except (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError) as error:
        raise BundleError(f"{label}: not a readable Parquet file: {str(error)[:200]}") from None
    return _checked(table, label, keep_dictionaries=columns is not None)


def _checked(table: pa.Table, label: str, *, keep_dictionaries: bool = False) -> pa.Table:
    missing = [name for name in EVIDENCE_REQUIRED if name not in table.column_names]
    if missing:
        raise BundleError(f"{label}: required columns are missing: {', '.join(missing)}")
    columns: dict[str, Any] = {}
    for column in COLUMNS:
        if column.name in table.column_names:
            if table.column_names.count(column.name) > 1:
                raise BundleError(f"{label}: column {column.name} stands twice")
            values: Any = table[column.name]
            kept = keep_dictionaries and column.type is Type.STRING and pa.types.is_dictionary(values.type)
            columns[column.name] = values if kept else _cast(column, values, label)
    schema = pa.schema(
        [pa.field(c.name, columns[c.name].type, nullable=_may_be_null(c)) for c in COLUMNS if c.name in columns]
    )
    return pa.table(list(columns.values()), schema=schema)


def _may_be_null(column: Column) -> bool:
    return column.nullable or column.name not in EVIDENCE_REQUIRED


def _cast(column: Column, values: Any, label: str) -> Any:
    wanted = _ARROW[column.type]
    try:
        if column.type is Type.IP and not pa.types.is_fixed_size_binary(values.type):
            values = _addresses(values)
        if column.type is Type.TIME and pa.types.is_timestamp(values.type):
            values = values.cast(pa.timestamp("ns"))
        out = values if values.type == wanted else values.cast(wanted)
    except (pa.ArrowException, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise BundleError(f"{label}: column {column.name}: {values.type} is not {wanted}: {reason}") from None
    if out.null_count and not _may_be_null(column):
        row = pc.index(out.is_null(), value=pa.scalar(True)).as_py()
        raise BundleError(f"{label}: column {column.name}: row {row} is null; {out.null_count} of {len(out)} are")
    return out


def _addresses(values: Any) -> Any:
    """Addresses as text or as bytes of any length to 16 bytes each. Raises ValueError."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type):
        return values.cast(pa.binary(16))
    encoded = values.cast(pa.string()).combine_chunks().dictionary_encode()
    words = encoded.dictionary.to_pylist()
    return pa.array([ip_bytes(word) for word in words], pa.binary(16)).take(encoded.indices)
