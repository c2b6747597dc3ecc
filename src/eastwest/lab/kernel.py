"""The few Linux calls that Python 3.11 lacks: unshare, setns, mount, prctl. Knows nothing of labs."""

from __future__ import annotations

import ctypes
import os
import signal
from pathlib import Path
from typing import Final

CLONE_NEWNS: Final = 0x00020000
CLONE_NEWUTS: Final = 0x04000000
CLONE_NEWNET: Final = 0x40000000
MS_BIND: Final = 0x1000
MS_REC: Final = 0x4000
MS_PRIVATE: Final = 0x40000
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """unshare(2). Raises OSError."""
    _checked(_libc.unshare(flags), "unshare")


def setns(path: str, flags: int) -> None:
    """Join the namespace that `path` (such as /proc/PID/ns/net) refers to. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _checked(_libc.setns(fd, flags), f"setns {path}")
    finally:
        os.close(fd)


def mount(source: str, target: str, kind: str | None, flags: int) -> None:
    """mount(2) without data. Raises OSError."""
    kind_bytes = kind.encode() if kind is not None else None
    _checked(_libc.mount(source.encode(), target.encode(), kind_bytes, flags, None), f"mount {target}")


def private_mounts() -> None:
    """Give this process its own mount namespace; nothing it mounts is seen outside. Raises OSError."""
    unshare(CLONE_NEWNS)
    mount("none", "/", None, MS_REC | MS_PRIVATE)


def bind_file(source: Path, target: Path) -> None:
    """Show `source` in place of `target`, in this mount namespace only. Raises OSError."""
    mount(str(source), str(target.resolve()), None, MS_BIND)


def set_hostname(name: str) -> None:
    """sethostname(2), in this UTS namespace. Raises OSError."""
    raw = name.encode()[:63]
    _checked(_libc.sethostname(raw, len(raw)), "sethostname")


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent thread ends; end at once if it already has."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
    if os.getppid() != parent_pid:
        os._exit(0)


def set_process_name(name: str) -> None:
    """The name that `ps -o comm` shows, at most 15 bytes."""
    _libc.prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def sysctl(name: str, value: str) -> None:
    """Write net.* of the current network namespace; `name` with slashes. Raises OSError."""
    Path("/proc/sys", name).write_text(value)
