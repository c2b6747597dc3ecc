"""The forward object: decides at FORWARD what pods send to addresses that the kernel may translate. Both IP families.

It works in the network namespace of the thread that attaches it, on the maps of a loaded flow object. Where the backend of a
Service cannot be seen there, it is refused with the reason, and egress is not to be enforced.
"""

from __future__ import annotations

import errno
import os
import struct
from enum import IntEnum
from pathlib import Path
from typing import Final

from eastwest.agent import bpf, loader
from eastwest.agent.bpffs import PinFolder
from eastwest.agent.kernel import FlowKernel
from eastwest.agent.percpu import read_counters
from eastwest.agent.policy.abi import STRUCTS
from eastwest.agent.variants import LOOKUP_HOOK
from eastwest.model.batch import HookStatus

NAME: Final = "forward"
_PIN: Final = "link_forward_"
_FRAGMENTS: Final = "fragments"
"""The only map of the flow object that this one does not have: it reads no later fragments."""
_PROC: Final = Path("/proc")
_PROG_TYPE_NETFILTER, _ATTACH_NETFILTER = 32, 45
_HOOK_FORWARD: Final = 2
_FAMILIES: Final = {"IPv4": 2, "IPv6": 10}  # NFPROTO_
_FORWARDING: Final = {"IPv4": "sys/net/ipv4/ip_forward", "IPv6": "sys/net/ipv6/conf/all/forwarding"}
_PRIORITIES: Final = range(10, 42)
"""After the rules of others (NF_IP_PRI_FILTER is 0); one priority takes one BPF program of a hook."""

_REPLACEMENTS: Final = {"cilium_host": "Cilium", "cilium_net": "Cilium", "bpfin.cali": "Calico's eBPF data plane"}
"""Links of networks that translate addresses in eBPF, where conntrack does not see it."""


class Counter(IntEnum):
    """enum forward_counter."""

    JUDGED = 0
    DENIED = 1
    WOULD_DENY = 2
    WITHOUT_ENTRY = 3
    UNKNOWN_DENIED = 4
    UNKNOWN_WOULD_DENY = 5
    ZONED = 6


ZONES: Final = (
    "connections are in conntrack zones other than 0, where pods' hooks look up nothing: new ones are decided, but one to a Service "
    "that is older than a changed plan goes on as before until it ends"
)


class ForwardRefusedError(RuntimeError):
    """Egress cannot be enforced here; the text says why."""


def blind_spot(proc: Path = _PROC) -> str | None:
    """Why a pod's backends cannot be seen at FORWARD of this network namespace; None: they can."""
    services = _lines(proc / "thread-self/net/ip_vs")
    if any(line.startswith(("TCP", "UDP", "SCTP", "FWM")) for line in services):
        return "kube-proxy runs in IPVS mode: its backends are not in conntrack (use iptables or nftables mode)"
    links = {line.split(":")[0].strip() for line in _lines(proc / "thread-self/net/dev")[2:]}
    for link, who in _REPLACEMENTS.items():
        if link in links:
            return f"link {link}: {who} translates Service addresses in eBPF, where conntrack does not see the backends"
    if not any(_forwards(proc, family) for family in _families(proc)):
        return "this node forwards no packets (net.ipv4.ip_forward is 0): its pods' packets do not pass FORWARD"
    return None


class ForwardHook:
    """Attached from construction to `close`. Raises ForwardRefusedError. `kernel` must be enforcing, and outlive this.

    A netfilter link takes no other program later (BPF_LINK_UPDATE), so a successor attaches its own beside the pinned one
    of its predecessor, and lets that go when what is planned is in force: `take_over`.
    """

    def __init__(self, kernel: FlowKernel, pins: PinFolder | None = None) -> None:
        self._pins = pins
        reason = blind_spot()
        if reason is not None:
            raise ForwardRefusedError(reason)
        every_packet = not any(h.name == LOOKUP_HOOK and h.state == "on" for h in kernel.hooks)
        try:
            self._object = loader.load(
                "forward",
                ("forward_counters",),
                ("ew_forward",),
                STRUCTS,
                shared={name: fd for name, fd in kernel.maps.items() if name != _FRAGMENTS},
                constants={".rodata.enforcing": b"\1", ".rodata.every_packet": bytes([every_packet])},
                types={"ew_forward": (_PROG_TYPE_NETFILTER, _ATTACH_NETFILTER)},
            )
        except loader.StaleObjectError as error:
            raise ForwardRefusedError(str(error)) from None
        except loader.LoadError as error:
            raise ForwardRefusedError(f"{error} (Linux 6.4 or later is needed)") from None
        self.links: dict[str, int] = {}
        """Descriptors by family; closing one detaches it, unless it is pinned."""
        try:
            for family in _families(_PROC):
                self.links[family] = _attach(self._object.programs["ew_forward"], _FAMILIES[family])
        except OSError as error:
            self.close()
            raise ForwardRefusedError(f"the {family} FORWARD hook takes no program: {error.strerror}") from None

    def take_over(self) -> None:
        """From here on ours is the one that stays: pinned in place of a predecessor's. Raises PinError."""
        if self._pins is None:
            return
        for family, fd in self.links.items():
            self._pins.pin(_PIN + family, fd)
        for name in set(self._pins.names(_PIN)) - {_PIN + family for family in self.links}:
            self._pins.remove(name)

    def counters(self) -> dict[str, int]:
        """Packets by what became of them, since load."""
        return read_counters(self._object.maps["forward_counters"], Counter)

    def close(self, *, keep: bool = False) -> None:
        """Take it off, unless it is to be kept for a successor by its pins."""
        if self._pins is not None and not keep:
            release(self._pins)
        while self.links:
            os.close(self.links.popitem()[1])
        self._object.close()


def release(pins: PinFolder) -> None:
    """Take off what a predecessor left there."""
    for name in pins.names(_PIN):
        pins.remove(name)


def open_or_status(kernel: FlowKernel, pins: PinFolder | None = None) -> tuple[ForwardHook | None, HookStatus]:
    """The hook where it can see backends, and what to report either way."""
    try:
        return ForwardHook(kernel, pins), HookStatus(NAME, "on")
    except ForwardRefusedError as error:
        return None, HookStatus(NAME, "refused", str(error))


def _attach(program: int, family: int) -> int:
    for priority in _PRIORITIES:
        attr = struct.pack("<IIIIIIiI", program, 0, _ATTACH_NETFILTER, 0, family, _HOOK_FORWARD, priority, 0)
        try:
            return bpf.call(bpf.LINK_CREATE, attr)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
    raise OSError(errno.EBUSY, f"priorities {_PRIORITIES[0]} to {_PRIORITIES[-1]} are taken")


def _families(proc: Path) -> list[str]:
    return [family for family in _FAMILIES if (proc / _FORWARDING[family]).exists()]


def _forwards(proc: Path, family: str) -> bool:
    return (proc / _FORWARDING[family]).read_text().strip() == "1"


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except FileNotFoundError:
        return []
