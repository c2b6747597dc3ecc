"""What this process is allowed (capabilities(7)), and in words what is missing without it. Attaches nothing, tries nothing.

Hooks say for themselves what the kernel refuses them. What is not a hook would be missing in silence: an agent that may not
look at other processes attaches everywhere, and records nothing because it cannot tell whose an interface is.
"""

from __future__ import annotations

import errno
from enum import IntEnum
from pathlib import Path
from typing import Final

from eastwest.model.batch import HookStatus

STATUS: Final = Path("/proc/self/status")


class Capability(IntEnum):
    """include/uapi/linux/capability.h"""

    DAC_READ_SEARCH = 2
    NET_ADMIN = 12
    SYS_PTRACE = 19
    SYS_ADMIN = 21
    PERFMON = 38
    BPF = 39


NEEDED: Final = {
    Capability.BPF: "no program can be loaded",
    Capability.NET_ADMIN: "no program can be attached to interfaces, netfilter or cgroups",
    Capability.PERFMON: "no program may read the kernel's own structures (who opened a connection, drops, sockets)",
}
"""Without one of these there is no agent. CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON, too."""

PARTS: Final = {
    Capability.SYS_PTRACE: (
        "pods",
        "other processes cannot be looked at, so nobody can tell whose an interface is: no pod is recorded",
        ("pod_uid", "bytes_forward", "bytes_reverse", "connections"),
    ),
    Capability.SYS_ADMIN: (
        "older_connections",
        "pods' network namespaces cannot be entered: connections older than the agent have no TCP health, "
        "and listening sockets are read from /proc, which takes longer",
        (),
    ),
}
"""What is missing without each: name of the part, in words, columns that stay unknown."""


def effective(status: Path = STATUS) -> int:
    """The bits of this process's effective capabilities. Raises OSError."""
    for line in status.read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    raise OSError(errno.EINVAL, f"{status} has no CapEff")


def has(bits: int, capability: Capability) -> bool:
    """Whether a process with these bits may do what `capability` allows."""
    wanted = {capability}
    if capability in (Capability.BPF, Capability.PERFMON):
        wanted.add(Capability.SYS_ADMIN)
    return any(bits >> one & 1 for one in wanted)


def require(bits: int) -> None:
    """Raises PermissionError, which names each capability that is missing and what for."""
    missing = [f"CAP_{one.name} is missing: {what}" for one, what in NEEDED.items() if not has(bits, one)]
    if missing:
        raise PermissionError("; ".join(missing))


def lacking(bits: int) -> tuple[HookStatus, ...]:
    """The parts that cannot work, each as a refused hook; none when all can."""
    return tuple(
        HookStatus(name, "refused", f"CAP_{capability.name} is missing: {what}", columns)
        for capability, (name, what, columns) in PARTS.items()
        if not has(bits, capability)
    )
