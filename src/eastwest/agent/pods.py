"""Which pod lives in which network namespace: from processes and their cgroups alone, no Kubernetes API.

A process's cgroup path names its pod: kubelet's cgroupfs driver (`…/kubepods/burstable/pod<uid>/…`) and its systemd
driver (`…/kubepods-burstable-pod<uid with _>.slice/…`), pkg/kubelet/cm/pod_container_manager_linux.go.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
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
    netns: int | None = field(default=None, compare=False)
    """Inode of that namespace; it names the pod's sockets also when the process has ended."""


def pod_uid(cgroup_text: str) -> str | None:
    """The pod's UID from the text of /proc/PID/cgroup; None for a process of no pod."""
    for line in cgroup_text.splitlines():
        uid = pod_of_path(line.split(":", 2)[-1])
        if uid is not None:
            return uid
    return None


def pod_of_path(path: str) -> str | None:
    """The same from one path of a cgroup."""
    if "kubepods" not in path:
        return None
    systemd = _SYSTEMD.search(path)
    if systemd:
        return systemd[1].replace("_", "-")
    plain = _CGROUPFS.search(path)
    return plain[1] if plain else None


def find(
    wanted: Collection[int],
    nsid_of: Callable[[int], int | None],
    proc: Path = PROC,
    inhabited: set[int] | None = None,
) -> dict[int, PodProcess]:
    """For each wanted namespace id that is a pod's, the process that was in it first.

    The oldest process decides, because younger ones may only pass through: a pod's first process is in its parent's
    namespace for a moment, and somebody may look into a pod from outside.
    `nsid_of` maps an open namespace descriptor to this namespace's id for it (`netlink.NamespaceIds.find`). `inhabited`
    gets the wanted ids in whose namespace some process lives, a pod's or not.
    """
    members: dict[int, list[int]] = {}  # inode of a namespace -> processes
    for pid, inode in namespaces(proc):
        members.setdefault(inode, []).append(pid)
    found: dict[int, PodProcess] = {}
    for inode, pids in members.items():
        nsid = next(
            (n for n in (_nsid(proc / str(pid) / "ns" / "net", nsid_of) for pid in pids) if n is not None), None
        )
        if nsid is None or nsid not in wanted:
            continue
        if inhabited is not None:
            inhabited.add(nsid)
        oldest = min(pids, key=lambda pid: _started(pid, proc))
        uid = _uid_of(oldest, proc)
        if uid is not None:
            found[nsid] = PodProcess(uid, oldest, inode)
    return found


def namespaces(proc: Path = PROC) -> Iterator[tuple[int, int]]:
    """(pid, inode of its network namespace) of every process that can be looked at."""
    for name in os.listdir(proc):  # noqa: PTH208
        if not name.isdecimal():
            continue
        try:
            yield int(name), os.stat(f"{proc}/{name}/ns/net").st_ino  # noqa: PTH116 - one call for each process
        except OSError:
            continue  # it ended, or is not ours to see


def _started(pid: int, proc: Path) -> tuple[int, int]:
    """When a process began, in clock ticks since boot (proc(5), stat field 22), then its pid; last when it is gone."""
    try:
        fields = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return int(fields[19]), pid
    except (OSError, IndexError, ValueError):
        return 2**63, pid


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
