"""The two programs on each interface: TCX links, pinned when there is a folder for it, else clsact filters. Knows no pods.

A pinned link survives its agent; the next one finds it by interface and direction, and swaps its program in one step.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from eastwest.agent import bpf, bpffs, clsact
from eastwest.agent.bpffs import PinFolder
from eastwest.agent.clsact import Clsact
from eastwest.model.batch import HookStatus

_LOOPBACK: Final = 1
WAYS: Final = ("auto", "tcx", "clsact")
SIDES: Final = (("ew_to_pod", bpf.TCX_EGRESS, "to_pod"), ("ew_from_pod", bpf.TCX_INGRESS, "from_pod"))
"""Program, attach type and pin of each direction. Packets to the pod come first: an answer carries what conntrack knows of
its question, so a connection that begins between the two is still recorded whole in who and what."""


class Hook(Protocol):
    """One program on one interface."""

    def remove(self) -> None:
        """Unhook it."""

    def leave(self) -> None:
        """Let go of it and leave it in place."""


@dataclass(frozen=True, slots=True)
class TcxHook:
    fd: int
    pins: PinFolder | None = None
    name: str = ""

    def remove(self) -> None:
        if self.pins is not None:
            self.pins.remove(self.name)
        os.close(self.fd)

    def leave(self) -> None:
        os.close(self.fd)


class Tcx:
    """Attaches by BPF links: owned by descriptor or pin, ordered beside other programs' links."""

    @property
    def kind(self) -> str:
        return "tcx"

    def __init__(self, programs: Mapping[str, int], pins: PinFolder | None = None) -> None:
        self._programs, self._pins = programs, pins

    def attach(self, ifindex: int) -> tuple[Hook, ...]:
        """Hook both directions, each about 12 ms. A link that is pinned gets our program. Raises OSError (ENODEV: gone)."""
        done: list[Hook] = []
        try:
            for program, kind, side in SIDES:
                done.append(self._one(ifindex, program, kind, f"link_{ifindex}_{side}"))
        except (OSError, bpffs.PinError) as error:
            for hook in done:
                hook.remove()
            raise OSError(*error.args) from None
        return tuple(done)

    def _one(self, ifindex: int, program: str, kind: int, name: str) -> TcxHook:
        fd = self._pins.open(name) if self._pins is not None else None
        if fd is not None:
            if bpffs.link_ifindex(fd) == ifindex:
                bpffs.update_link(fd, self._programs[program])
                return TcxHook(fd, self._pins, name)
            os.close(fd)  # of an earlier interface that had this number
        fd = bpf.attach_tcx(self._programs[program], ifindex, kind)
        if self._pins is not None:
            try:
                self._pins.pin(name, fd)
            except bpffs.PinError:
                os.close(fd)
                raise
        return TcxHook(fd, self._pins, name)

    def left(self) -> dict[int, tuple[Hook, ...]]:
        """What a predecessor hooked and is still there, by interface; pins of those that are gone are removed."""
        alive: dict[int, tuple[Hook, ...]] = {}
        for name in self._pins.names("link_") if self._pins is not None else []:
            number = name.split("_")[1]
            fd = self._pins.open(name) if self._pins is not None and number.isdecimal() else None
            if fd is None:
                continue
            ifindex, hook = int(number), TcxHook(fd, self._pins, name)
            if bpffs.link_ifindex(fd) == ifindex:
                alive[ifindex] = (*alive.get(ifindex, ()), hook)
            else:
                hook.remove()
        return alive


class Attacher(Protocol):
    """A way to hook interfaces."""

    @property
    def kind(self) -> str: ...

    def attach(self, ifindex: int) -> tuple[Hook, ...]: ...

    def left(self) -> Mapping[int, tuple[Hook, ...]]: ...


def choose(wanted: str, programs: Mapping[str, int], pins: PinFolder | None) -> tuple[Attacher, tuple[HookStatus, ...]]:
    """`wanted`: tcx, clsact or auto (TCX where the kernel takes it).

    Tries on the loopback, where nothing is counted. Raises OSError when `tcx` is wanted and refused.
    """
    refusal = "" if wanted == "clsact" else _refusal(programs)
    if refusal and wanted == "tcx":
        raise OSError(errno.EOPNOTSUPP, f"this kernel has no TCX: {refusal}")
    if wanted == "clsact" or refusal:
        why = f"tc filters are used instead: {refusal}" if refusal else "tc filters were asked for"
        sides = {side: programs[program] for program, _, side in SIDES}
        return Clsact(sides), (HookStatus("tcx", "off", why), HookStatus("clsact", "on"))
    return Tcx(programs, pins), (HookStatus("tcx", "on"),)


def sweep(attacher: Attacher, programs: Mapping[str, int], pins: PinFolder | None) -> None:
    """Remove what a predecessor left that hooked in the other way."""
    other = clsact.left() if isinstance(attacher, Tcx) else Tcx(programs, pins).left()
    for hooks in other.values():
        for hook in hooks:
            hook.remove()


def _refusal(programs: Mapping[str, int]) -> str:
    try:
        os.close(bpf.attach_tcx(programs["ew_from_pod"], _LOOPBACK, bpf.TCX_INGRESS))
    except OSError as error:
        return error.strerror or str(error)
    return ""
