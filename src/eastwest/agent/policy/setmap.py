"""A kernel map that holds two sets: many entries a system call, in and out. Knows keys with a field `set`, nothing else."""

from __future__ import annotations

import errno
import struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eastwest.agent import batchmap, bpf

_UPDATE_BATCH: Final = 26
_DELETE_BATCH: Final = 27
_CHUNK: Final = 16_384
_FULL: Final = (errno.E2BIG, errno.ENOSPC, errno.ENOMEM)


class MapFullError(Exception):
    """The kernel has no room for an entry; some may have been written."""


def put(map_fd: int, keys: NDArray[Any], values: NDArray[Any]) -> None:
    """Insert or replace (n,) entries. Raises MapFullError, OSError."""
    keys, values = np.ascontiguousarray(keys), np.ascontiguousarray(values)
    try:
        for at in range(0, len(keys), _CHUNK):
            _batch(_UPDATE_BATCH, map_fd, keys[at : at + _CHUNK], values[at : at + _CHUNK])
    except OSError as error:
        if error.errno in _FULL:
            raise MapFullError(str(error)) from None
        raise


def remove(map_fd: int, keys: NDArray[Any]) -> None:
    """Delete (n,) keys; those that are not there are no matter. Raises OSError."""
    keys = np.ascontiguousarray(keys)
    at = 0
    while at < len(keys):
        try:
            at += _batch(_DELETE_BATCH, map_fd, keys[at : at + _CHUNK], None)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            at += error.args[2] + 1  # the one that is not there


def read(map_fd: int, entry: np.dtype[Any], number: int) -> NDArray[Any]:
    """Every entry of set `number`, with set 0 in the key."""
    key, value = entry["key"], entry["value"]
    found = batchmap.read(map_fd, key, value, 4096)
    mine = np.zeros(int(np.count_nonzero(found["key"]["set"] == number)), entry)
    mine["key"], mine["value"] = (found[found["key"]["set"] == number][n] for n in ("key", "value"))
    mine["key"]["set"] = 0
    return mine


def _batch(command: int, map_fd: int, keys: NDArray[Any], values: NDArray[Any] | None) -> int:
    """How many entries were done. Raises OSError whose args end with that number."""
    attr = np.zeros(128, np.uint8)
    struct.pack_into(
        "<QQQQIIQQ",
        attr.data,
        0,
        0,
        0,
        keys.ctypes.data,
        0 if values is None else values.ctypes.data,
        len(keys),
        map_fd,
        0,
        0,
    )
    try:
        bpf.call_in_place(command, attr)
    except OSError as error:
        done = int(attr[32:36].view("<u4")[0])
        raise _PartialError(error.errno, error.strerror, done) from None
    return len(keys)


class _PartialError(OSError):
    """`args[2]`: entries done before it."""

    def __init__(self, code: int | None, text: str | None, done: int) -> None:
        super().__init__(code, text)
        self.args = (code, text, done)
