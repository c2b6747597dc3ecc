"""Reading a map in few system calls, and taking out what has gone quiet."""

from __future__ import annotations

import errno
import struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eastwest.agent import bpf

_LOOKUP_AND_DELETE: Final = 21
_LOOKUP_BATCH: Final = 24
_DELETE_BATCH: Final = 27


def entry_dtype(key: np.dtype[Any], value: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype([("key", key), ("value", value)])


def read(map_fd: int, key: np.dtype[Any], value: np.dtype[Any], chunk: int) -> NDArray[Any]:
    """Every entry, fields `key` and `value`, shape (n,); the map is left as it is.

    `chunk`: entries per call, at least as many as the fullest bucket of the map holds.
    """
    keys, values = np.zeros(chunk, key), np.zeros(chunk, value)
    token, after = np.zeros((2, max(8, key.itemsize)), np.uint8)  # of maps that are no hash, the token is a key
    parts: list[NDArray[Any]] = []
    first = True
    while True:
        count, done = _take(map_fd, keys, values, None if first else token, after)
        if count:
            part = np.empty(count, entry_dtype(key, value))
            part["key"], part["value"] = keys[:count], values[:count]
            parts.append(part)
        if done:
            return np.concatenate(parts) if parts else np.empty(0, entry_dtype(key, value))
        token[:] = after
        first = False


def take_out(map_fd: int, key: NDArray[Any], value: NDArray[Any]) -> bool:
    """Remove one entry and fill `value` with what it held last; False when there is no such key."""
    attr = struct.pack("<IIQQQ", map_fd, 0, key.ctypes.data, value.ctypes.data, 0)
    try:
        bpf.call(_LOOKUP_AND_DELETE, attr)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return False
        raise
    return True


def remove(map_fd: int, keys: NDArray[Any]) -> None:
    """Remove the entries of all `keys` (n,), each of which is there."""
    if not len(keys):
        return
    keys = np.ascontiguousarray(keys)
    attr = np.zeros(128, np.uint8)
    struct.pack_into("<QQQQIIQQ", attr.data, 0, 0, 0, keys.ctypes.data, 0, len(keys), map_fd, 0, 0)
    bpf.call_in_place(_DELETE_BATCH, attr)


def _take(
    map_fd: int, keys: NDArray[Any], values: NDArray[Any], token: NDArray[Any] | None, after: NDArray[Any]
) -> tuple[int, bool]:
    """One call: how many entries came, and whether they were the last."""
    attr = np.zeros(128, np.uint8)
    struct.pack_into(
        "<QQQQIIQQ",
        attr.data,
        0,
        0 if token is None else token.ctypes.data,
        after.ctypes.data,
        keys.ctypes.data,
        values.ctypes.data,
        len(keys),
        map_fd,
        0,
        0,
    )
    try:
        bpf.call_in_place(_LOOKUP_BATCH, attr)
        done = False
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
        done = True
    return int(attr[32:36].view("<u4")[0]), done
