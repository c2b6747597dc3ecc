"""Whose the node's own sockets are: cgroup ids that the kernel met, told apart by the pod in their path.

The host object writes the cgroup of a connection's local socket into its entry, and each id it has not met into the map
`owners`. Here an id becomes a path (open_by_handle_at(2), whose handle of a cgroup is its id), a path a pod's UID, and a
UID a number that records carry. It knows no pods but by the cgroups that kubelet makes for them.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from eastwest.agent import batchmap, bpf, pods
from eastwest.model.batch import HookStatus

NAME: Final = "host_pods"
COLUMNS: Final = ("pod_uid",)
LOOKED_AT: Final = 1 << 16
"""Beside the number in the map's values: a cgroup of no pod is then told from one that nobody has looked at."""
KEEP_S: Final = 7200.0
"""How long a cgroup that is gone keeps its pod: what it opened may be in the flow map for an hour."""
_CHUNK: Final = 1024
_FILE_HANDLE: Final = struct.Struct("=IiQ")  # struct file_handle: bytes, type, and what a kernfs puts there: the id
_KERNFS: Final = 0xFE  # FILEID_KERNFS, include/linux/exportfs.h
_libc = ctypes.CDLL(None, use_errno=True)


class CgroupPaths:
    """Paths of a cgroup v2 tree by cgroup id. Raises OSError when the tree cannot be opened."""

    def __init__(self, root: Path) -> None:
        if not (root / "cgroup.controllers").exists():
            raise OSError(errno.ENOENT, "no cgroup v2 is mounted there")
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def find(self, cgroup_id: int) -> str | None:
        """The path of a cgroup; None when there is none any more. Raises OSError (EPERM: CAP_DAC_READ_SEARCH is missing)."""
        handle = ctypes.create_string_buffer(_FILE_HANDLE.pack(8, _KERNFS, cgroup_id))
        fd = _libc.open_by_handle_at(self._root, handle, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if fd < 0:
            code = ctypes.get_errno()
            if code in (errno.ESTALE, errno.ENOENT):
                return None
            raise OSError(code, os.strerror(code))
        try:
            return str(Path(f"/proc/self/fd/{fd}").readlink())
        finally:
            os.close(fd)

    def close(self) -> None:
        os.close(self._root)


class Owners:
    """Host-network pods by the numbers in records. For one thread."""

    def __init__(self, map_fd: int, find: Callable[[int], str | None]) -> None:
        """`map_fd`: the flow object's `owners`, in which a predecessor may have left numbers. `find`: path of a cgroup
        id, None when it is gone."""
        self._map, self._find = map_fd, find
        self._number: dict[str, int] = {}  # by pod UID
        self._pod_of: dict[int, str | None] = {}  # by cgroup id
        self._gone_s: dict[int, float] = {}
        self._refusal: str | None = None
        self.unnamed = 0  # cgroups that were gone before anybody could say whose they were
        for cgroup_id, value in self._read():
            uid = self._pod(cgroup_id)
            if uid is not None and value & ~LOOKED_AT:
                self._number.setdefault(uid, value & ~LOOKED_AT)

    @property
    def uids(self) -> dict[int, str]:
        """Number in a record -> pod UID."""
        return {number: uid for uid, number in self._number.items()}

    @property
    def status(self) -> HookStatus:
        return HookStatus(NAME, "on" if self._refusal is None else "refused", self._refusal, COLUMNS)

    def of_cgroups(self, cgroup_ids: NDArray[np.uint64]) -> NDArray[np.uint16]:
        """The number of the pod that each cgroup belongs to, (n,); 0: no pod's, as far as is known."""
        distinct, row = np.unique(cgroup_ids, return_inverse=True)
        numbers = [self._number.get(self._pod_of.get(int(c)) or "", 0) for c in distinct.tolist()]
        return np.array(numbers, np.uint16)[row.reshape(-1)]

    def look(self) -> None:
        """Name the cgroups that the kernel has met since the last call."""
        for cgroup_id, value in self._read():
            if not value:
                self._tell(cgroup_id, self._pod(cgroup_id))

    def pod_of(self, cgroup_ids: Iterable[int]) -> dict[int, str]:
        """Cgroup -> UID, of those that are pods'; the kernel need not have met them."""
        return {c: uid for c in cgroup_ids if (uid := self._pod(c)) is not None}

    def tidy(self, now_s: float) -> None:
        """Forget what has been gone for KEEP_S. Now and then: a system call for each cgroup. `now_s` is monotonic."""
        for cgroup_id in list(self._pod_of):
            if self._path(cgroup_id) is not None:
                self._gone_s.pop(cgroup_id, None)
            elif now_s - self._gone_s.setdefault(cgroup_id, now_s) > KEEP_S:
                bpf.delete(self._map, struct.pack("<Q", cgroup_id))
                del self._gone_s[cgroup_id], self._pod_of[cgroup_id]
        alive = set(self._pod_of.values())
        self._number = {uid: number for uid, number in self._number.items() if uid in alive}

    def number(self, uid: str) -> int:
        """The number of a pod, made when it is new; 0 when there are 65,535 already."""
        if uid not in self._number:
            taken = set(self._number.values())
            self._number[uid] = next((n for n in range(1, LOOKED_AT) if n not in taken), 0)
        return self._number[uid]

    def _read(self) -> list[tuple[int, int]]:
        entries = batchmap.read(self._map, np.dtype("<u8"), np.dtype("<u4"), _CHUNK)
        return list(zip(entries["key"].tolist(), entries["value"].tolist(), strict=True))

    def _tell(self, cgroup_id: int, uid: str | None) -> None:
        number = LOOKED_AT | (self.number(uid) if uid is not None else 0)
        bpf.update(self._map, struct.pack("<Q", cgroup_id), struct.pack("<I", number))

    def _pod(self, cgroup_id: int) -> str | None:
        if cgroup_id not in self._pod_of:
            path = self._path(cgroup_id)
            self.unnamed += path is None
            self._pod_of[cgroup_id] = pods.pod_of_path(path) if path is not None else None
        return self._pod_of[cgroup_id]

    def _path(self, cgroup_id: int) -> str | None:
        try:
            return self._find(cgroup_id)
        except OSError as error:
            self._refusal = f"cgroups cannot be opened by their id: {error.strerror or error}"
            return None
