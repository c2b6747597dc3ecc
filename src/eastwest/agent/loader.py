"""Loads one compiled BPF object through libbpf.so.1 and keeps its descriptors; libbpf itself is let go at once.

Everything after loading is raw bpf() (`bpf`). A refusal becomes a LoadError with the verifier's last words.
"""

from __future__ import annotations

import ctypes
import os
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from eastwest.agent.bpffs import Layout
from eastwest.agent.layouts import Layouts, difference

_LOG_BYTES: Final = 16 << 20
"""What libbpf gives the verifier to write into: the verdict is at its end."""

OBJECTS: Final = Path(__file__).parent / "objects"
_LAYOUT: Final = ("type", "key_size", "value_size", "max_entries", "map_flags")
Chooser = Callable[[Mapping[str, Layout]], Mapping[str, int]]


class LoadError(RuntimeError):
    """The object cannot be used here; the text says why and, when there is one, what to do."""


class StaleObjectError(LoadError):
    """The object was not compiled from the sources that belong to this Python: nothing of it may be used."""


@dataclass(frozen=True, slots=True)
class LoadedObject:
    """Descriptors by name; the owner closes them."""

    name: str
    maps: dict[str, int]
    programs: dict[str, int]

    def close(self) -> None:
        for fd in (*self.maps.values(), *self.programs.values()):
            os.close(fd)


def load(
    name: str,
    maps: tuple[str, ...],
    programs: tuple[str, ...],
    layouts: Layouts,
    max_entries: Mapping[str, int] | None = None,
    shared: Mapping[str, int] | None = None,
    constants: Mapping[str, bytes] | None = None,
    types: Mapping[str, tuple[int, int]] | None = None,
    choose: Chooser | None = None,
) -> LoadedObject:
    """Load objects/NAME.bpf.o with the given map sizes, and other objects' maps (name -> descriptor). Raises LoadError.

    `layouts`: the structs that are read or written from here. Raises StaleObjectError where the object has others, or lacks one
    of `maps` and `programs`.
    `constants`: whole read-only sections by name, such as ".rodata.enforcing"; the verifier removes what they rule out.
    `types`: (program type, attach type) of programs in sections that libbpf does not know.
    `choose` gets the layout of each of `maps` and answers with descriptors of those that are to be used again.
    """
    path = OBJECTS / f"{name}.bpf.o"
    if not path.exists():
        raise LoadError(f"{path} is missing: build it with `make bpf`")
    lib = _library()
    words = _Words(lib)
    handle = lib.bpf_object__open_file(os.fsencode(path), None)
    if not handle:
        raise LoadError(f"{name}: {words.reason(ctypes.get_errno())}")
    try:
        _require_same_sources(lib, handle, path, maps, programs, layouts)
        for map_name, entries in (max_entries or {}).items():
            found = lib.bpf_object__find_map_by_name(handle, map_name.encode())
            if not found or lib.bpf_map__set_max_entries(found, entries):
                raise LoadError(f"{name}: map {map_name} cannot be given {entries} entries")
        again = choose({m: _layout(lib, handle, m) for m in maps}) if choose is not None else {}
        for map_name, fd in {**(shared or {}), **again}.items():
            found = lib.bpf_object__find_map_by_name(handle, map_name.encode())
            if not found or lib.bpf_map__reuse_fd(found, fd):
                raise LoadError(f"{name}: map {map_name} cannot be shared")
        for section, value in (constants or {}).items():
            found = lib.bpf_object__find_map_by_name(handle, section.encode())
            if not found or lib.bpf_map__set_initial_value(found, value, len(value)):
                raise LoadError(f"{name}: section {section} cannot be given {value!r}")
        for program, (program_type, attach_type) in (types or {}).items():
            found = lib.bpf_object__find_program_by_name(handle, program.encode())
            if not found or lib.bpf_program__set_type(found, program_type):
                raise LoadError(f"{name}: program {program} cannot be given type {program_type}")
            lib.bpf_program__set_expected_attach_type(found, attach_type)
        code = lib.bpf_object__load(handle)
        if code:
            raise LoadError(f"{name}: {words.reason(-code)}")
        return _descriptors(lib, handle, name, maps, programs)
    finally:
        lib.bpf_object__close(handle)
        words.restore()


def _require_same_sources(
    lib: Any, handle: int, path: Path, maps: tuple[str, ...], programs: tuple[str, ...], layouts: Layouts
) -> None:
    """Before libbpf is asked for what is not there: it follows null pointers."""
    size = ctypes.c_uint32()
    raw = lib.btf__raw_data(lib.bpf_object__btf(handle), ctypes.byref(size)) if layouts else None
    other = difference(ctypes.string_at(raw, size.value) if raw else b"", layouts) if layouts else None
    for kind, names in (("map", maps), ("program", programs)):
        find = getattr(lib, f"bpf_object__find_{kind}_by_name")
        lacking = [name for name in names if not find(handle, name.encode())]
        other = other or (f"it has no {kind} {lacking[0]}" if lacking else None)
    if other is not None:
        raise StaleObjectError(
            f"{path} does not belong to this version of eastwest: {other}. "
            "Build it again with `make -C bpf`, or install eastwest again"
        )


def _descriptors(lib: Any, handle: int, name: str, maps: tuple[str, ...], programs: tuple[str, ...]) -> LoadedObject:
    loaded = LoadedObject(name, {}, {})
    for map_name in maps:
        found = lib.bpf_object__find_map_by_name(handle, map_name.encode())
        loaded.maps[map_name] = os.dup(lib.bpf_map__fd(found))
    for program in programs:
        found = lib.bpf_object__find_program_by_name(handle, program.encode())
        loaded.programs[program] = os.dup(lib.bpf_program__fd(found))
    return loaded


def _layout(lib: Any, handle: int, name: str) -> Layout:
    found = lib.bpf_object__find_map_by_name(handle, name.encode())
    return Layout(*(int(getattr(lib, f"bpf_map__{field}")(found)) for field in _LAYOUT))


def _library() -> Any:
    try:
        lib = ctypes.CDLL("libbpf.so.1", use_errno=True)
    except OSError:
        raise LoadError(
            "libbpf.so.1 is not installed (Debian, Ubuntu: libbpf1; Fedora, Amazon Linux: libbpf)"
        ) from None
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    for function, result, arguments in (
        ("bpf_object__open_file", pointer, (text, pointer)),
        ("bpf_object__load", ctypes.c_int, (pointer,)),
        ("bpf_object__close", None, (pointer,)),
        ("bpf_object__btf", pointer, (pointer,)),
        ("btf__raw_data", pointer, (pointer, pointer)),
        ("bpf_object__find_map_by_name", pointer, (pointer, text)),
        ("bpf_object__find_program_by_name", pointer, (pointer, text)),
        ("bpf_map__set_max_entries", ctypes.c_int, (pointer, ctypes.c_uint32)),
        ("bpf_map__reuse_fd", ctypes.c_int, (pointer, ctypes.c_int)),
        ("bpf_map__fd", ctypes.c_int, (pointer,)),
        ("bpf_map__set_initial_value", ctypes.c_int, (pointer, text, ctypes.c_size_t)),
        *((f"bpf_map__{field}", ctypes.c_uint32, (pointer,)) for field in _LAYOUT),
        ("bpf_program__fd", ctypes.c_int, (pointer,)),
        ("bpf_program__set_type", ctypes.c_int, (pointer, ctypes.c_int)),
        ("bpf_program__set_expected_attach_type", ctypes.c_int, (pointer, ctypes.c_int)),
    ):
        getattr(lib, function).restype = result
        getattr(lib, function).argtypes = arguments
    return lib


class _Words:
    """Catches what libbpf says (warnings only), to quote it when something fails."""

    _PRINT: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)

    def __init__(self, lib: Any) -> None:
        self._lib = lib
        self._said: deque[str] = deque(maxlen=200)
        self._callback = self._PRINT(self._print)
        lib.libbpf_set_print(self._callback)

    def _print(self, level: int, text: bytes | None, arguments: int | None) -> int:
        if level != 0 or text is None:
            return 0
        buffer = ctypes.create_string_buffer(_LOG_BYTES)
        ctypes.CDLL(None).vsnprintf(buffer, ctypes.c_size_t(len(buffer)), text, ctypes.c_void_p(arguments))
        self._said.extend(buffer.value.decode(errors="replace").splitlines())
        return 0

    def reason(self, code: int) -> str:
        """errno in words, and the last line before libbpf's own closing remarks: the verifier's verdict."""
        said = [line for line in self._said if line.strip() and not line.startswith(("libbpf:", "processed", "--"))]
        last = said[-1].strip() if said else (self._said[0].strip() if self._said else "")
        return f"{os.strerror(code)} ({last})" if last else os.strerror(code)

    def restore(self) -> None:
        self._lib.libbpf_set_print(self._PRINT())
