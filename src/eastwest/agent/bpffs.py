"""Kernel objects that outlive their process: pinned in a bpffs, found again by name. Knows no flows.

bpf(2) commands OBJ_PIN, OBJ_GET, OBJ_GET_INFO_BY_FD and LINK_UPDATE; names in a bpffs must not hold a dot.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from eastwest.agent import bpf

DEFAULT_FOLDER: Final = Path("/sys/fs/bpf/eastwest")
_OBJ_PIN, _OBJ_GET, _OBJ_GET_INFO, _LINK_UPDATE = 6, 7, 15, 29
_MAP_INFO: Final = struct.Struct("<6I16s")  # struct bpf_map_info: type, id, key, value, entries, flags, name
_LINK_INFO: Final = struct.Struct("<4I2I")  # struct bpf_link_info: type, id, prog_id, pad; tcx: ifindex, attach_type
_CGROUP_INFO: Final = struct.Struct("<4IQ")  # the same of a cgroup's link: cgroup_id
_TMP: Final = "_next"


class PinError(RuntimeError):
    """The folder cannot be used; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What must agree for a map to be used by another program."""

    type: int
    key_bytes: int
    value_bytes: int
    entries: int
    flags: int


def map_layout(fd: int) -> Layout:
    """The layout of an open map. Raises OSError."""
    kind, _, key, value, entries, flags, _ = _MAP_INFO.unpack(_info(fd, _MAP_INFO.size))
    return Layout(kind, key, value, entries, flags)


def link_ifindex(fd: int) -> int:
    """Where a TCX link is attached in the namespace it was made in; 0 when that interface is gone. Raises OSError."""
    return int(_LINK_INFO.unpack(_info(fd, _LINK_INFO.size))[4])


def link_cgroup(fd: int) -> int:
    """Id (inode) of the cgroup that a link is attached to; 0 when that is gone. Raises OSError."""
    return int(_CGROUP_INFO.unpack(_info(fd, _CGROUP_INFO.size))[4])


def update_link(fd: int, program_fd: int) -> None:
    """Put another program in place, atomically: every packet meets the one or the other. Raises OSError."""
    bpf.call(_LINK_UPDATE, struct.pack("<IIII", fd, program_fd, 0, 0))


def _info(fd: int, size: int) -> bytes:
    buffer = np.zeros(256, np.uint8)
    bpf.call(_OBJ_GET_INFO, struct.pack("<IIQ", fd, buffer.nbytes, buffer.ctypes.data))
    return buffer.tobytes()[:size]


class PinFolder:
    """One agent's folder, locked while it is open: two agents would count and swap over each other."""

    def __init__(self, path: Path, wait_s: float = 5.0) -> None:
        """Make the folder if need be. Raises PinError."""
        self.path = path
        try:
            path.mkdir(mode=0o700, exist_ok=True)
            self._lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise PinError(f"{path}: {error.strerror}; a bpffs is mounted with: mount -t bpf bpf DIR") from None
        end = time.monotonic() + wait_s
        while not self._locked():
            if time.monotonic() > end:
                os.close(self._lock)
                raise PinError(f"{path} is in use by another agent; give each its own folder (--pin DIR)")
            time.sleep(0.05)

    def _locked(self) -> bool:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def names(self, prefix: str = "") -> list[str]:
        return sorted(n for n in os.listdir(self.path) if n.startswith(prefix))  # noqa: PTH208 - plain names

    def open(self, name: str) -> int | None:
        """A descriptor of what is pinned there; None: nothing is. Raises OSError."""
        text = ctypes.create_string_buffer(os.fsencode(self.path / name))
        try:
            return bpf.call(_OBJ_GET, struct.pack("<QII", ctypes.addressof(text), 0, 0))
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            raise

    def pin(self, name: str, fd: int) -> None:
        """Pin, in place of what was pinned there: at no moment is there neither. Raises PinError."""
        following = self.path / (name + _TMP)
        following.unlink(missing_ok=True)
        text = ctypes.create_string_buffer(os.fsencode(following))
        try:
            bpf.call(_OBJ_PIN, struct.pack("<QII", ctypes.addressof(text), fd, 0))
            following.rename(self.path / name)
        except OSError as error:
            raise PinError(f"{self.path} cannot hold pins: {error.strerror}; it must be in a bpffs") from None

    def remove(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)

    def clear(self) -> list[str]:
        """Remove every pin and the folder; what was not used by anybody else ends here. Returns the names."""
        names = self.names()
        for name in sorted(names, key=lambda n: not n.startswith("link_")):  # first what still writes into the maps
            self.remove(name)
        self.path.rmdir()
        return names

    def close(self) -> None:
        os.close(self._lock)


def is_bpffs(folder: Path) -> bool:
    """Whether a bpffs is mounted exactly there, as this process sees it (proc_pid_mountinfo(5))."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        if rest.startswith("bpf ") and fields.split()[4] == str(folder):
            return True
    return False
