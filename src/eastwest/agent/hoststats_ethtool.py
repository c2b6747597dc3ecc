"""A network driver's own counters through the ethtool ioctl, and which of them are ENA allowances.

The layouts are those of include/uapi/linux/ethtool.h; the names are the ENA driver's (drivers/net/ethernet/amazon/ena/
ena_ethtool.c). No machine of ours has an ENA, so the ioctl is tested on other drivers and the names on prepared replies.
"""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

SIOCETHTOOL: Final = 0x8946  # include/uapi/linux/sockios.h
GSTRINGS, GSTATS, GSSET_INFO = 0x1B, 0x1D, 0x37  # ETHTOOL_*
SS_STATS: Final = 1  # enum ethtool_stringset, ETH_SS_STATS
NAME_BYTES: Final = 32  # ETH_GSTRING_LEN
MAX_STATS: Final = 4096  # more than any driver has; guards the buffer against a mad reply

EXCEEDED: Final = {
    "bw_in_allowance_exceeded": "bw_in",
    "bw_out_allowance_exceeded": "bw_out",
    "pps_allowance_exceeded": "pps",
    "conntrack_allowance_exceeded": "conntrack",
    "linklocal_allowance_exceeded": "linklocal",
}
AVAILABLE: Final = "conntrack_allowance_available"

Ask = Callable[[str, bytearray], None]
"""One ethtool command: the request in the buffer is replaced by the kernel's reply; OSError when refused."""


def ask_kernel(interface: str, buffer: bytearray) -> None:
    """The real `Ask`."""
    data = (ctypes.c_char * len(buffer)).from_buffer(buffer)
    request = struct.pack("16sP16x", interface.encode(), ctypes.addressof(data))  # struct ifreq
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCETHTOOL, request)
    del data


def names(interface: str, ask: Ask = ask_kernel) -> list[str]:
    """The names of the driver's counters; empty when it has none. Raises OSError when refused."""
    info = bytearray(struct.pack("=IIQI", GSSET_INFO, 0, 1 << SS_STATS, 0))
    ask(interface, info)
    _, _, mask, count = struct.unpack("=IIQI", info)
    if not mask or count > MAX_STATS:
        return []
    buffer = bytearray(struct.pack("=III", GSTRINGS, SS_STATS, count)) + bytearray(count * NAME_BYTES)
    ask(interface, buffer)
    raw = bytes(buffer[12:])
    return [raw[i : i + NAME_BYTES].split(b"\0")[0].decode("ascii", "replace") for i in range(0, len(raw), NAME_BYTES)]


def values(interface: str, count: int, ask: Ask = ask_kernel) -> list[int]:
    """The counters in the order of `names`. Raises OSError when refused or when the driver now has another number."""
    buffer = bytearray(struct.pack("=II", GSTATS, count)) + bytearray(count * 8)
    ask(interface, buffer)
    if struct.unpack_from("=I", buffer, 4)[0] != count:
        raise OSError(f"{interface}: the driver changed its counters")
    return list(struct.unpack_from(f"={count}Q", buffer, 8))


@dataclass(frozen=True, slots=True)
class Allowances:
    """`exceeded` by short name (bw_in, bw_out, pps, conntrack, linklocal); None: the driver does not say."""

    exceeded: dict[str, int]
    conntrack_available: int | None


@dataclass(slots=True)
class AllowanceReader:
    """Reads allowances of interfaces that have them; asks each of the others once, until it disappears."""

    ask: Ask = ask_kernel
    _names: dict[str, list[str]] = field(default_factory=dict)

    def read(self, interfaces: Iterable[str]) -> dict[str, Allowances]:
        """Interface -> allowances, for those whose driver has any."""
        present = set(interfaces)
        self._names = {name: known for name, known in self._names.items() if name in present}
        found: dict[str, Allowances] = {}
        for interface in sorted(present):
            try:
                allowances = self._read(interface)
            except OSError:
                self._names[interface] = []
                continue
            if allowances is not None:
                found[interface] = allowances
        return found

    def _read(self, interface: str) -> Allowances | None:
        if interface not in self._names:
            known = names(interface, self.ask)
            self._names[interface] = known if any(n in EXCEEDED for n in known) else []
        known = self._names[interface]
        if not known:
            return None
        stats = dict(zip(known, values(interface, len(known), self.ask), strict=True))
        return Allowances({EXCEEDED[n]: v for n, v in stats.items() if n in EXCEEDED}, stats.get(AVAILABLE))
