"""The dns object in the kernel: loaded, attached or lent to the flow program as a tail, read. The part of `dns` with I/O."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from eastwest.agent import bpf
from eastwest.agent.bpffs import PinError
from eastwest.agent.dns.record import PORTS, Counter, read
from eastwest.agent.dns.transactions import Sighting
from eastwest.agent.handover import Handover
from eastwest.agent.loader import LoadError, load
from eastwest.agent.percpu import read_counters
from eastwest.agent.ringbuf import RingBuffer
from eastwest.model.batch import HookStatus

COLUMNS: Final = ("src_dns_name", "dst_dns_name")
DEFAULT_PORTS: Final = (53,)
RING_BYTES: Final = 1 << 18  # its pages are resident, twice: 1300 small messages between two polls

_MAPS: Final = ("dns_ports", "dns_ring", "dns_counters")
PINS: Final = tuple(f"map_{name}" for name in _MAPS)
FROM_POD: Final = "dns_from_pod"
TO_POD: Final = "dns_to_pod"


class HookRefusedError(RuntimeError):
    """This kernel refused the object; the text is its answer."""


class DnsHook:
    """Open from construction to `close`. At most four ports. Raises HookRefusedError."""

    def __init__(
        self, ports: tuple[int, ...] = DEFAULT_PORTS, ring_bytes: int = RING_BYTES, handover: Handover | None = None
    ) -> None:
        """With a `handover` that has pins, it goes on where the predecessor's last window ended."""
        if len(ports) > 4:
            raise ValueError(f"{len(ports)} DNS ports: at most 4 can be watched")
        self._handover = handover or Handover()
        maps = self._handover.maps(_MAPS)
        try:
            self._object = load("dns", _MAPS, (FROM_POD, TO_POD), {}, {"dns_ring": ring_bytes}, choose=maps.choose)
            self.resumed = maps.reused
            maps.keep(self._object.maps)
        except (LoadError, PinError) as error:
            maps.release()
            raise HookRefusedError(str(error)) from None
        bpf.update(self._object.maps["dns_ports"], bytes(4), PORTS.pack(*ports, *[0] * (4 - len(ports))))
        self._ring = RingBuffer(self._object.maps["dns_ring"], ring_bytes, keep=self._handover.pins is not None)
        if self.resumed:
            self._ring.skip(int.from_bytes(self._handover.left("dns_position"), "little"))
        self._kept = 0  # messages that were read and are still in the ring, too

    @property
    def programs(self) -> dict[str, int]:
        """By name, FROM_POD and TO_POD; for benchmarks and tests."""
        return self._object.programs

    def lend(self, prog_array_fd: int) -> None:
        """Let a program at the same hook tail-call ours, slot 0 for packets from the pod and 1 for those to it.

        Costs other packets nothing, and attaching takes no time; the slots are emptied when the map's owner ends.
        """
        for slot, name in enumerate((FROM_POD, TO_POD)):
            bpf.update(prog_array_fd, slot.to_bytes(4, "little"), self.programs[name].to_bytes(4, "little"))

    def attach(self, ifindex: int) -> tuple[int, int]:
        """Hook an interface on its own, beside others; closing the descriptors unhooks. Raises OSError."""
        first = bpf.attach_tcx(self.programs[FROM_POD], ifindex, bpf.TCX_INGRESS)
        try:
            return first, bpf.attach_tcx(self.programs[TO_POD], ifindex, bpf.TCX_EGRESS)
        except OSError:
            os.close(first)
            raise

    def sightings(self) -> Iterator[Sighting]:
        """What was seen since the last call, in order. One caller at a time."""
        for message in self._ring.read_each():
            self._kept += 1
            yield read(message)
        if self._ring.crowded:
            self._handover.risk("dns", self._kept)
            self._release()

    @property
    def position(self) -> bytes:
        """Up to where the ring was read."""
        return self._ring.position.to_bytes(8, "little")

    def commit(self) -> None:
        """What was seen so far was handed over."""
        self._release()

    def _release(self) -> None:
        self._kept = 0
        self._ring.release()

    def counters(self) -> dict[str, int]:
        """Messages, and those not captured, by cause; totals."""
        return read_counters(self._object.maps["dns_counters"], Counter)

    def close(self) -> None:
        self._ring.close()
        self._object.close()


def take_back(prog_array_fd: int) -> None:
    """Undo `lend`, also a predecessor's."""
    for slot in range(2):
        bpf.delete(prog_array_fd, slot.to_bytes(4, "little"))


def open_or_status(
    ports: tuple[int, ...] = DEFAULT_PORTS, handover: Handover | None = None
) -> tuple[DnsHook | None, HookStatus]:
    """The hook when the kernel takes it, and what to report either way."""
    try:
        hook = DnsHook(ports, handover=handover)
    except HookRefusedError as error:
        return None, HookStatus("dns", "refused", str(error), COLUMNS)
    return hook, HookStatus("dns", "on", None, COLUMNS)
