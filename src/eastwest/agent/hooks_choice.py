"""What an operator may ask of the hooks beside flow. No hook is known here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from eastwest.agent.dns import hook as dns_hook

HOOKS: Final = ("sock", "dns", "drops")
"""What can be left off, in an operator's words."""


def cgroup_root() -> Path:
    """Where this machine has its cgroup v2 tree (proc_pid_mountinfo(5): fields after " - " are type, source …)."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        if rest.startswith("cgroup2 "):
            return Path(fields.split()[4])
    return Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Choice:
    """What an operator wants. `cgroup` None: no TCP health."""

    cgroup: Path | None
    drops: bool = True
    dns: bool = True
    dns_ports: tuple[int, ...] = dns_hook.DEFAULT_PORTS
    host: bool = False  # also rows for connections of the node itself and of host-network pods
