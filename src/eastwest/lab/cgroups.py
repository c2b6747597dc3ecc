"""The lab's cgroup v2 subtree: created like a kubelet's, killed and removed as a whole.

Everything a lab starts lives under `<cgroup2>/eastwest-lab-NAME`, so that even a lab whose every process was killed
can be found and cleaned by its name alone.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any, Literal

Driver = Literal["systemd", "cgroupfs"]


def cgroup2_root(mounts: str | None = None) -> Path:
    """The first cgroup v2 mount in /proc/mounts. Raises OSError when there is none."""
    text = Path("/proc/self/mounts").read_text() if mounts is None else mounts
    for line in text.splitlines():
        fields = line.split()
        if len(fields) > 2 and fields[2] == "cgroup2":
            return Path(fields[1].replace("\\040", " "))
    raise OSError("no cgroup2 filesystem is mounted; the lab needs one (mount -t cgroup2 none /sys/fs/cgroup)")


def lab_root(name: str) -> Path:
    return cgroup2_root() / f"eastwest-lab-{name}"


def qos_class(pod_spec: dict[str, Any]) -> str:
    """`guaranteed`, `burstable` or `besteffort`, by requests and limits (Kubernetes: Pod Quality of Service Classes)."""
    any_set = False
    all_equal = True
    for container in pod_spec.get("containers") or []:
        resources = container.get("resources") or {}
        limits = resources.get("limits") or {}
        requests = {**limits, **(resources.get("requests") or {})}
        any_set = any_set or any(k in requests for k in ("cpu", "memory"))
        all_equal = all_equal and all(k in limits and requests[k] == limits[k] for k in ("cpu", "memory"))
    if not any_set:
        return "besteffort"
    return "guaranteed" if all_equal else "burstable"


def pod_path(uid: str, qos: str, driver: Driver) -> Path:
    """A pod's cgroup below its node's, as the kubelet names it for this cgroup driver."""
    if driver == "cgroupfs":
        parent = Path("kubepods") if qos == "guaranteed" else Path("kubepods", qos)
        return parent / f"pod{uid}"
    flat = uid.replace("-", "_")
    top = Path("kubepods.slice")
    if qos == "guaranteed":
        return top / f"kubepods-pod{flat}.slice"
    return top / f"kubepods-{qos}.slice" / f"kubepods-{qos}-pod{flat}.slice"


def container_name(container_id: str, driver: Driver) -> str:
    return container_id if driver == "cgroupfs" else f"cri-containerd-{container_id}.scope"


def create(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def join(path: Path) -> None:
    """Move this process in. Sockets made from now on carry this cgroup. Raises OSError."""
    (path / "cgroup.procs").write_text("0")


def processes(path: Path) -> list[int]:
    """Every process in the subtree."""
    found: list[int] = []
    for folder, _, _ in os.walk(path):
        try:
            found += [int(pid) for pid in Path(folder, "cgroup.procs").read_text().split()]
        except OSError:
            continue
    return found


def kill(path: Path) -> None:
    """SIGKILL every process in the subtree."""
    try:
        (path / "cgroup.kill").write_text("1")
    except OSError:
        for pid in processes(path):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def remove(path: Path, timeout: float = 60.0) -> bool:
    """Kill and remove the subtree; False when something was still there after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while path.is_dir():
        kill(path)
        for folder, _, _ in os.walk(path, topdown=False):
            try:
                Path(folder).rmdir()
            except OSError:
                continue
        if not path.is_dir():
            break
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
