"""The bpf() system call, as little of it as the agent needs. Knows nothing of flows; objects are loaded by `loader`.

Buffers are numpy arrays or bytes; every failure is an OSError with errno. include/uapi/linux/bpf.h (union bpf_attr).
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import platform
import struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_SYSCALLS: Final = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "s390x": 351, "ppc64le": 361}
MAP_CREATE, LOOKUP, UPDATE, DELETE, NEXT_KEY, PROG_RUN, LINK_CREATE, LINK_DETACH = 0, 1, 2, 3, 4, 10, 28, 34
MAP_TYPE_ARRAY, MAP_TYPE_ARRAY_OF_MAPS = 2, 12
TCX_INGRESS, TCX_EGRESS = 46, 47
ANY, NOEXIST = 0, 1
MMAPABLE = 1 << 10

_libc = ctypes.CDLL(None, use_errno=True)
_ATTR_BYTES: Final = 128

Buffer = NDArray[Any] | bytes


def call(command: int, attr: bytes) -> int:
    """bpf(command, attr). Raises OSError."""
    buffer = ctypes.create_string_buffer(attr, _ATTR_BYTES)
    result = _libc.syscall(_number(), command, buffer, _ATTR_BYTES)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(result)


def call_in_place(command: int, attr: NDArray[Any]) -> int:
    """As `call`, for commands that answer in `attr` itself (128 bytes of uint8), also when they fail."""
    assert attr.nbytes == _ATTR_BYTES
    result = _libc.syscall(_number(), command, ctypes.c_void_p(attr.ctypes.data), _ATTR_BYTES)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(result)


def _number() -> int:
    try:
        return _SYSCALLS[platform.machine()]
    except KeyError:
        raise OSError(errno.ENOSYS, f"bpf() number of {platform.machine()} is not known") from None


def _address(buffer: Buffer) -> int:
    if isinstance(buffer, bytes):
        return ctypes.cast(ctypes.c_char_p(buffer), ctypes.c_void_p).value or 0
    return buffer.ctypes.data


def lookup(map_fd: int, key: Buffer, value: NDArray[Any]) -> bool:
    """Fill `value` from the map; False when there is no such key."""
    try:
        call(LOOKUP, struct.pack("<IIQQQ", map_fd, 0, _address(key), _address(value), 0))
    except OSError as error:
        if error.errno == errno.ENOENT:
            return False
        raise
    return True


def update(map_fd: int, key: Buffer, value: Buffer, flags: int = ANY) -> None:
    call(UPDATE, struct.pack("<IIQQQ", map_fd, 0, _address(key), _address(value), flags))


def delete(map_fd: int, key: Buffer) -> bool:
    """False when there is no such key."""
    try:
        call(DELETE, struct.pack("<IIQQQ", map_fd, 0, _address(key), 0, 0))
    except OSError as error:
        if error.errno == errno.ENOENT:
            return False
        raise
    return True


def keys(map_fd: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Every key, one system call each: for small maps and tests."""
    found: list[NDArray[Any]] = []
    key, after = b"", np.zeros(1, dtype)
    while True:
        try:
            call(NEXT_KEY, struct.pack("<IIQQ", map_fd, 0, _address(key) if key else 0, _address(after)))
        except OSError as error:
            if error.errno == errno.ENOENT:
                return np.concatenate(found) if found else np.zeros(0, dtype)
            raise
        found.append(after.copy())
        key = after.tobytes()


def run_syscall_program(prog_fd: int, context: NDArray[Any]) -> int:
    """Run a SEC("syscall") program on `context`, which it may change; returns its return value."""
    attr = bytearray(_ATTR_BYTES)
    struct.pack_into("<I", attr, 0, prog_fd)
    struct.pack_into("<IIQQ", attr, 40, context.nbytes, 0, _address(context), 0)
    buffer = ctypes.create_string_buffer(bytes(attr), _ATTR_BYTES)
    if _libc.syscall(_number(), PROG_RUN, buffer, _ATTR_BYTES) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    (retval,) = struct.unpack_from("<I", buffer.raw, 4)
    return int(retval)


def attach_tcx(prog_fd: int, ifindex: int, attach_type: int) -> int:
    """A TCX link; closing its descriptor detaches. Blocks about 12 ms (an RCU grace period under rtnl)."""
    return call(LINK_CREATE, struct.pack("<IIII", prog_fd, ifindex, attach_type, 0))


def map_memory(map_fd: int, entries: int, dtype: np.dtype[Any]) -> tuple[mmap.mmap, NDArray[Any]]:
    """A BPF_F_MMAPABLE array map as a read-only numpy view of (entries,) values."""
    size = -(-entries * dtype.itemsize // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = mmap.mmap(map_fd, size, mmap.MAP_SHARED, mmap.PROT_READ)
    return memory, np.frombuffer(memory, dtype, entries)


class GracePeriod:
    """Waits until every BPF program that runs now has ended.

    Replacing a map inside a map makes the kernel call synchronize_rcu before it returns, so that no program still holds
    the old one (kernel commit 1ae80cf31938, maybe_wait_bpf_programs). That wait is all we want of it.
    """

    def __init__(self) -> None:
        self._inner = call(MAP_CREATE, struct.pack("<IIIII", MAP_TYPE_ARRAY, 4, 4, 1, 0))
        try:
            self._outer = call(MAP_CREATE, struct.pack("<IIIIII", MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 1, 0, self._inner))
        except OSError:
            os.close(self._inner)
            raise

    def wait(self) -> None:
        """Blocks about 8 ms, without using the CPU."""
        update(self._outer, bytes(4), struct.pack("<I", self._inner))

    def close(self) -> None:
        os.close(self._outer)
        os.close(self._inner)


def possible_cpus() -> int:
    """How many values an entry of a per-CPU map has (/sys/devices/system/cpu/possible, such as 0-1)."""
    with open("/sys/devices/system/cpu/possible", encoding="ascii") as file:  # noqa: PTH123 - no pathlib in the hot module
        return int(file.read().strip().replace(",", "-").split("-")[-1]) + 1
