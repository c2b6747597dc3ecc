"""BPF iterators and cgroup links by raw bpf(): attach once, then each run is one read. Called by `sock`."""

from __future__ import annotations

import ctypes
import os
import struct
import threading
from collections.abc import Callable
from typing import Final, TypeVar

import numpy as np

from eastwest.agent import bpf

_ITER_CREATE: Final = 33
_TRACE_ITER: Final = 28  # enum bpf_attach_type
_CLONE_NEWNET: Final = 0x40000000
_T = TypeVar("_T")
_INFO_BYTES: Final = 16  # sizeof(union bpf_iter_link_info)


def attach_cgroup(prog_fd: int, cgroup_fd: int, attach_type: int) -> int:
    """A link of a program to a cgroup v2 directory, beside what others attached (a link is always multi)."""
    return bpf.call(bpf.LINK_CREATE, struct.pack("<IIII", prog_fd, cgroup_fd, attach_type, 0))


def attach_iterator(prog_fd: int, map_fd: int | None = None) -> int:
    """A link of an iterator program; `map_fd` when it goes over a map's elements."""
    if map_fd is None:
        return bpf.call(bpf.LINK_CREATE, struct.pack("<IIII", prog_fd, 0, _TRACE_ITER, 0))
    info = np.zeros(_INFO_BYTES, np.uint8)
    info[:4].view("<u4")[0] = map_fd
    attr = struct.pack("<IIIIQI", prog_fd, 0, _TRACE_ITER, 0, info.ctypes.data, _INFO_BYTES)
    return bpf.call(bpf.LINK_CREATE, attr)


def run(link_fd: int) -> bytes:
    """Visit every element once; what the program wrote. Sockets: those of the calling thread's namespace."""
    fd = bpf.call(_ITER_CREATE, struct.pack("<II", link_fd, 0))
    try:
        parts = []
        while part := os.read(fd, 65536):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(fd)


def in_namespace(netns_fd: int, act: Callable[[], _T]) -> _T:
    """`act` within a network namespace, on a thread of its own: setns holds for the thread that calls it."""
    result: list[_T] = []
    failure: list[OSError] = []

    def run_there() -> None:
        try:
            _setns(netns_fd)
            result.append(act())
        except OSError as error:
            failure.append(error)

    thread = threading.Thread(target=run_there, name="in-namespace")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]


def _setns(netns_fd: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(netns_fd, _CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, f"setns: {os.strerror(code)}")
