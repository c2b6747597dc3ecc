"""The drop object in the kernel: checked against BTF before it is loaded, attached, read. Names reasons; knows no pods."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eastwest.agent import batchmap, bpf, btf
from eastwest.agent.bpffs import PinError
from eastwest.agent.drop.ledger import DROP, DropLedger, Drops
from eastwest.agent.drop.record import KEY, VALUE, Counter
from eastwest.agent.handover import Handover, array
from eastwest.agent.loader import LoadError, load
from eastwest.agent.percpu import read_counters
from eastwest.model.batch import HookStatus

COLUMNS: Final = ("drops",)
_MAPS: Final = ("drop_namespaces", "drops", "drops_coarse", "drop_counters", "drop_owner")
_STRUCTS: Final = {"drop_key": KEY, "drop_value": VALUE}
_LINK: Final = "link_drop"
PINS: Final = (_LINK, *(f"map_{name}" for name in _MAPS))
_RAW_TRACEPOINT_OPEN: Final = 17
_ENTRIES: Final = 1024  # kinds of drop with addresses in a tick; further ones are counted per pod and reason
_COARSE_ENTRIES: Final = 1024  # also: what sockets had accepted, per pod
_PREFIX: Final = "SKB_DROP_REASON_"
_ACCEPTED_BEFORE: Final = "queue_purge"
"""Of packets the kernel had taken in and freed unread, as the FIN of every connection closed first here."""


class HookRefusedError(RuntimeError):
    """This kernel cannot or will not run the hook; the text says why."""


def reason_names() -> dict[int, str]:
    """The kernel's drop reasons, lower case without prefix, such as `netfilter_drop`. Raises HookRefusedError."""
    try:
        kernel = btf.kernel()
        arguments = kernel.tracepoint_arguments("kfree_skb")
        members = kernel.enum("skb_drop_reason")
    except (OSError, btf.BtfError) as error:
        raise HookRefusedError(f"{btf.VMLINUX}: {error}") from None
    # Added by kernel commit c504e5c2f964; a fourth argument came later and is not read.
    if members is None or arguments is None or arguments[2:3] != ("skb_drop_reason",):
        raise HookRefusedError(
            f"tracepoint kfree_skb{arguments or '()'} tells no reason: Linux 5.17 or later is needed"
        )
    return {value: name.removeprefix(_PREFIX).lower() for value, name in members.items()}


class DropHook:
    """Open from construction to `close`. Counts nothing until it is given namespaces. Raises HookRefusedError."""

    def __init__(self, entries: int = _ENTRIES, handover: Handover | None = None) -> None:
        """With a `handover` that has pins, it goes on where the predecessor's last window ended."""
        self.reasons = reason_names()
        self._handover = handover or Handover()
        maps = self._handover.maps(_MAPS)
        sizes = {"drops": entries, "drops_coarse": _COARSE_ENTRIES}
        identity = struct.pack("<I", (int.from_bytes(os.urandom(4), "little") >> 1) + 1)
        self._accepted = next((number for number, name in self.reasons.items() if name == _ACCEPTED_BEFORE), 0)
        constants = {".rodata.owner": identity, ".rodata.accepted": struct.pack("<I", self._accepted)}
        try:
            self._object = load(
                "drop", _MAPS, ("drop_kfree_skb",), _STRUCTS, sizes, constants=constants, choose=maps.choose
            )
        except LoadError as error:
            maps.release()
            raise HookRefusedError(str(error)) from None
        self.resumed = maps.reused
        try:
            maps.keep(self._object.maps)
            self._link = self._attach(identity)
        except (OSError, PinError) as error:
            self._object.close()
            raise HookRefusedError(f"tp_btf/kfree_skb: {getattr(error, 'strerror', error)}") from None
        self._fine = self._ledger("drops", entries)
        self._coarse = self._ledger("drops_coarse", _COARSE_ENTRIES)
        left = bpf.keys(self._object.maps["drop_namespaces"], np.dtype("<u4")) if self.resumed else ()
        self._namespaces = {int(inode) for inode in left}

    def _attach(self, identity: bytes) -> int:
        """Beside a predecessor's; with one store ours counts and the other one does not."""
        link = bpf.call(_RAW_TRACEPOINT_OPEN, struct.pack("<QI", 0, self._object.programs["drop_kfree_skb"]))
        try:
            bpf.update(self._object.maps["drop_owner"], bytes(4), identity)
            if self._handover.pins is not None:
                self._handover.pins.pin(_LINK, link)
        except (OSError, PinError):
            os.close(link)
            raise
        return link

    def watch(self, namespaces: Iterable[int]) -> None:
        """Count drops in these network namespaces (inodes), and only these: the node's own and its pods'."""
        wanted = set(namespaces)
        map_fd = self._object.maps["drop_namespaces"]
        for inode in self._namespaces - wanted:
            bpf.delete(map_fd, struct.pack("<I", inode))
        for inode in wanted - self._namespaces:
            bpf.update(map_fd, struct.pack("<I", inode), bytes(4))
        self._namespaces = wanted

    def collect(self) -> Drops:
        """What was dropped since the last call (dtype DROP); entries without addresses come from the coarse map."""
        before = self._fine.taken_out + self._coarse.taken_out
        found = np.concatenate((self._fine.increments(), self._coarse.increments()))
        self._handover.risk("drop", self._fine.taken_out + self._coarse.taken_out - before)
        return found

    def seen(self) -> dict[str, bytes]:
        """What a successor must know of the last `collect`."""
        return {"drops": self._fine.seen.tobytes(), "drops_coarse": self._coarse.seen.tobytes()}

    def reason(self, number: int) -> str:
        """A reason's name; one of a kernel module's own (upper 16 bits set) is its number."""
        return self.reasons.get(number, str(number))

    def losses(self, drops: Drops) -> NDArray[np.bool_]:
        """Which of them are lost packets, (n,): all but those that a socket had accepted before it was closed."""
        return np.asarray(drops["key"]["reason"] != self._accepted)

    def counters(self) -> dict[str, int]:
        return read_counters(self._object.maps["drop_counters"], Counter)

    def close(self) -> None:
        os.close(self._link)
        self._object.close()

    def _ledger(self, name: str, entries: int) -> DropLedger:
        map_fd = self._object.maps[name]

        def take_out(key: NDArray[Any]) -> NDArray[Any] | None:
            value = np.zeros(1, VALUE)
            return value if batchmap.take_out(map_fd, key, value) else None

        seen = array(self._handover.left(name), DROP) if self.resumed else None
        return DropLedger(lambda: batchmap.read(map_fd, KEY, VALUE, entries), take_out, seen)


def open_or_status(handover: Handover | None = None) -> tuple[DropHook | None, HookStatus]:
    """The hook when the kernel takes it, and what to report either way."""
    try:
        hook = DropHook(handover=handover)
    except HookRefusedError as error:
        return None, HookStatus("drops", "refused", str(error), COLUMNS)
    return hook, HookStatus("drops", "on", None, COLUMNS)
