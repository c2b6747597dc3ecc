"""Figures of the node and of this process that the kernel already keeps: read from /proc, nothing is forked.

Read once per window by `metrics`, never by a scrape. A figure that this kernel does not have is None or missing.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")


@dataclass(frozen=True, slots=True)
class InterfaceTotals:
    """Counters of one interface since it exists (proc_pid_net(5), /proc/net/dev)."""

    receive_bytes: int
    receive_packets: int
    receive_errors: int
    receive_drops: int
    transmit_bytes: int
    transmit_packets: int
    transmit_errors: int
    transmit_drops: int


@dataclass(frozen=True, slots=True)
class Conntrack:
    """Usage of the connection tracking table (Documentation/networking/nf_conntrack-sysctl.rst)."""

    entries: int
    limit: int


def interfaces(proc: Path = PROC) -> dict[str, InterfaceTotals]:
    """Totals of every interface in the calling thread's network namespace except lo, in one read."""
    found: dict[str, InterfaceTotals] = {}
    for line in (proc / "thread-self/net/dev").read_text().splitlines()[2:]:
        name, _, rest = line.partition(":")
        f = [int(word) for word in rest.split()]
        if name.strip() != "lo":
            found[name.strip()] = InterfaceTotals(f[0], f[1], f[2], f[3], f[8], f[9], f[10], f[11])
    return found


def conntrack(proc: Path = PROC) -> Conntrack | None:
    """None when connection tracking is not loaded or may not be read."""
    base = proc / "sys/net/netfilter"
    try:
        return Conntrack(int((base / "nf_conntrack_count").read_text()), int((base / "nf_conntrack_max").read_text()))
    except (OSError, ValueError):
        return None


def resident_bytes(proc: Path = PROC) -> int:
    """Resident memory of this process (proc_pid_statm(5), second field, in pages)."""
    return int((proc / "self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu_seconds() -> float:
    """User and system time of this process."""
    return time.process_time()


def instance_id(dmi: Path = Path("/sys/devices/virtual/dmi/id/board_asset_tag")) -> str:
    """The EC2 instance, which Nitro machines carry as asset tag (i-…); empty elsewhere."""
    try:
        tag = dmi.read_text().strip()
    except OSError:
        return ""
    return tag if tag.startswith("i-") else ""
