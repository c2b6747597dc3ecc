"""What BTF says about a type: enum names, structs and a tracepoint's argument list, in pure Python.

Format: Documentation/bpf/btf.rst. The running kernel's, /sys/kernel/btf/vmlinux, is read once (about 6 MB) and nothing of it
kept. Called at start.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Collection, Iterator
from itertools import chain
from pathlib import Path
from typing import Final

VMLINUX: Final = Path("/sys/kernel/btf/vmlinux")

_HEADER: Final = struct.Struct("<HBBIIIII")
_TYPE: Final = struct.Struct("<III")
_PTR, _ARRAY, _STRUCT, _ENUM, _TYPEDEF, _FUNC_PROTO, _ENUM64 = 2, 3, 4, 6, 8, 13, 19
# Bytes behind a type's head: fixed, and per element of vlen (kind -> (fixed, each)).
_TAIL: Final = {
    1: (4, 0), _ARRAY: (12, 0), _STRUCT: (0, 12), 5: (0, 12), _ENUM: (0, 8), _FUNC_PROTO: (0, 8), 14: (4, 0), 15: (0, 12),
    17: (4, 0), _ENUM64: (0, 12),
}  # fmt: skip


class BtfError(ValueError):
    """Not BTF that this reader understands."""


class Btf:
    """`raw`: the whole of a BTF blob. Little-endian, as every kernel we load on is. Raises BtfError."""

    def __init__(self, raw: bytes) -> None:
        if len(raw) < _HEADER.size:
            raise BtfError("shorter than a header")
        magic, _, _, head, type_at, type_bytes, text_at, text_bytes = _HEADER.unpack_from(raw)
        if magic != 0xEB9F:
            raise BtfError(f"magic {magic:#x}")
        self._types = memoryview(raw)[head + type_at : head + type_at + type_bytes]
        self._text = raw[head + text_at : head + text_at + text_bytes]

    def enum(self, name: str) -> dict[int, str] | None:
        """value -> name of an enum's members; None when there is no such enum."""
        at = self._find(_ENUM, name)
        if at is None:
            return None
        members = struct.iter_unpack("<Ii", self._tail(at))
        return {value: self._string(offset) for offset, value in members}

    def tracepoint_arguments(self, name: str) -> tuple[str, ...] | None:
        """The types of a tracepoint's arguments by name ("" for what has none); None when there is no such one.

        From the typedef btf_trace_NAME, whose first argument (the tracepoint's private data) is left out.
        """
        at = self._find(_TYPEDEF, f"btf_trace_{name}")
        if at is None:
            return None
        offsets = self._offsets()
        pointer = offsets[self._head(at)[2]]
        proto = offsets[self._head(pointer)[2]]
        arguments = [type_id for _, type_id in struct.iter_unpack("<II", self._tail(proto))]
        return tuple(self._name_behind(offsets, type_id) for type_id in arguments[1:])

    def structs(self, names: Collection[str]) -> dict[str, tuple[int, dict[str, int]]]:
        """name -> (bytes, member -> offset in bytes) of those structs of these names that are there."""
        found = {}
        for at in self._walk():
            name_at, info, size = self._head(at)
            if info >> 24 & 0x1F != _STRUCT or not name_at or (name := self._string(name_at)) not in names:
                continue
            members = struct.iter_unpack("<III", self._tail(at))  # name, type, and bits from the start
            found[name] = size, {self._string(n): (bits & 0xFFFFFF) // 8 for n, _, bits in members}
        return found

    def _walk(self) -> Iterator[int]:
        """Offset of each type, in order of id."""
        at = 0
        while at < len(self._types):
            yield at
            at += _TYPE.size + len(self._tail(at))

    def _offsets(self) -> array[int]:
        """By type id; id 0 is void and leads to no place."""
        return array("q", chain([-1], self._walk()))

    def _find(self, kind: int, name: str) -> int | None:
        wanted = self._text.find(f"\0{name}\0".encode())
        if wanted < 0:
            return None
        for at in self._walk():
            name_at, info, _ = self._head(at)
            if name_at == wanted + 1 and info >> 24 & 0x1F == kind:
                return at
        return None

    def _head(self, at: int) -> tuple[int, int, int]:
        name_at, info, size_or_type = _TYPE.unpack_from(self._types, at)
        return name_at, info, size_or_type

    def _tail(self, at: int) -> memoryview:
        _, info, _ = self._head(at)
        fixed, each = _TAIL.get(info >> 24 & 0x1F, (0, 0))
        start = at + _TYPE.size
        return self._types[start : start + fixed + each * (info & 0xFFFF)]

    def _string(self, offset: int) -> str:
        return self._text[offset : self._text.index(b"\0", offset)].decode()

    def _name_behind(self, offsets: array[int], type_id: int) -> str:
        """The name of a type behind its pointers and qualifiers (which have none)."""
        for _ in range(8):
            if type_id == 0:
                break
            name_at, _, type_id_next = self._head(offsets[type_id])
            if name_at:
                return self._string(name_at)
            type_id = type_id_next
        return ""


def kernel() -> Btf:
    """The running kernel's. Raises OSError when it has none."""
    return Btf(VMLINUX.read_bytes())
