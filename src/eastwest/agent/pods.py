"""Which pod lives in which network namespace: from processes and their cgroups alone, no Kubernetes API.

A process's cgroup path names its pod: kubelet's cgroupfs driver (`…/kubepods/burstable/pod<uid>/…`) and its systemd
driver (`…/kubepods-burstable-pod<uid with _>.slice/…`), pkg/kubelet/cm/pod_container_manager_linux.go.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
_CGROUPFS: Final = re.compile(r"/kubepods(?:/[^/]+)*?/pod([0-9A-Za-z][0-9A-Za-z_.-]*)(?:/|$)")
_SYSTEMD: Final = re.compile(r"/kubepods[^/]*-pod([0-9A-Za-z][0-9A-Za-z_]*)\.slice(?:/|$)")


@dataclass(frozen=True, slots=True)
class PodProcess:
    """One process of a pod; its network namespace is the pod's."""

    uid: str
    pid: int


def pod_uid(cgroup_text: str) -> str | None:
    """The pod's UID from the text of /proc/PID/cgroup; None for a process of no pod."""
    for line in cgroup_text.splitlines():
        path = line.split(":", 2)[-1]
        if "kubepods" not in path:
            continue
        systemd = _SYSTEMD.search(path)
        if systemd:
            return systemd[1].replace("_", "-")
        plain = _CGROUPFS.search(path)
        if plain:
            return plain[1]
    return None


def find(wanted: Collection[int], nsid_of: Callable[[int], int | None], proc: Path = PROC) -> dict[int, PodProcess]:
    """For each wanted namespace id, a pod's process in it, as far as there is one now.

    `nsid_of` maps an open namespace descriptor to this namespace's id for it (`netlink.NamespaceIds.find`).
    """
    found: dict[int, PodProcess] = {}
    nsids: dict[int, int | None] = {}  # by inode of the namespace
    missing = set(wanted)
    for pid, inode in namespaces(proc):
        if not missing:
            break
        if inode not in nsids:
            nsids[inode] = _nsid(proc / str(pid) / "ns" / "net", nsid_of)
        nsid = nsids[inode]
        if nsid not in missing:
            continue
        uid = _uid_of(pid, proc)
        if uid is not None and nsid is not None:
            found[nsid] = PodProcess(uid, pid)
            missing.discard(nsid)
    return found


def namespaces(proc: Path = PROC) -> Iterator[tuple[int, int]]:
    """(pid, inode of its network namespace) of every process that can be looked at, newest first."""
    pids = sorted((int(name) for name in os.listdir(proc) if name.isdecimal()), reverse=True)  # noqa: PTH208
    for pid in pids:
        try:
            yield pid, os.stat(f"{proc}/{pid}/ns/net").st_ino  # noqa: PTH116 - one call for each process
        except OSError:
            continue  # it ended, or is not ours to see


def _nsid(path: Path, nsid_of: Callable[[int], int | None]) -> int | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return nsid_of(fd)
    finally:
        os.close(fd)


def _uid_of(pid: int, proc: Path) -> str | None:
    try:
        return pod_uid((proc / str(pid) / "cgroup").read_text())
    except OSError:
        return None
