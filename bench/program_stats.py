"""What the kernel itself says of programs: how often each ran, and for how long (BPF_ENABLE_STATS, for as long as asked)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from bench.running import Running

from eastwest.agent import bpf

_GET_FD_BY_ID, _GET_INFO, _ENABLE_STATS = 13, 15, 32
_NAME_AT, _INFO_BYTES = 64, 80  # struct bpf_prog_info, up to its name


@dataclass(frozen=True, slots=True)
class Runs:
    """Since the program was loaded, while statistics were on."""

    count: int
    ns: int


@contextlib.contextmanager
def counted() -> Iterator[None]:
    """Every program's runs are timed meanwhile, at some 20 ns each which the figures hold."""
    fd = bpf.call(_ENABLE_STATS, struct.pack("<I", 0))
    try:
        yield
    finally:
        os.close(fd)


def runs_of(agent: Running) -> dict[str, Runs]:
    """By program, of those that an agent holds; names end after 15 characters."""
    counts: Counter[str] = Counter()
    times: Counter[str] = Counter()
    seen = set()
    for fields in agent.descriptors():
        if "prog_id" not in fields or "run_cnt" not in fields or fields["prog_id"] in seen:
            continue
        seen.add(fields["prog_id"])
        name = _name(int(fields["prog_id"]))
        counts[name] += int(fields["run_cnt"])
        times[name] += int(fields["run_time_ns"])
    return {name: Runs(counts[name], times[name]) for name in counts}


def _name(number: int) -> str:
    fd = bpf.call(_GET_FD_BY_ID, struct.pack("<II", number, 0))
    try:
        info = ctypes.create_string_buffer(_INFO_BYTES)
        bpf.call(_GET_INFO, struct.pack("<IIQ", fd, _INFO_BYTES, ctypes.addressof(info)))
        return info.raw[_NAME_AT:].split(b"\0")[0].decode()
    finally:
        os.close(fd)
