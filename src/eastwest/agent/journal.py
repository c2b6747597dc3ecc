"""What the agent must know of its predecessor: which drain was handed over, what it had counted, for whom.

Lives in two maps that may be pinned: `state` (one value, mapped into memory) and `reported` (one per interface). Written so
that a kill -9 between any two instructions leaves one truth: a drain counts when its number is `committed`, and not before.
Without pins the same maps end with the process. docs/decisions/0120.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eastwest.agent import bpf
from eastwest.agent.abi import DRAIN
from eastwest.agent.bpffs import PinFolder, map_layout
from eastwest.agent.journal_layout import (
    NOT_RUN,
    REPORTED,
    REPORTED_LAYOUT,
    STATE,
    STATE_LAYOUT,
    Interrupted,
    Predecessor,
    create,
)
from eastwest.model.batch import Amount


class Journal:
    """`adopted`: there was a predecessor with the same layouts."""

    def __init__(self, pins: PinFolder | None, digest: int, netns: int) -> None:
        """Raises OSError, ValueError when the pins are of another network namespace."""
        self._pins = pins
        self._lock = threading.Lock()  # guards `reported`: the watcher names what the tick reports
        self._fds: dict[str, int] = {}
        self.adopted = pins is not None and self._adopt(pins, digest, netns)
        if not self.adopted:
            self._begin(digest, netns)

    def _begin(self, digest: int, netns: int) -> None:
        self._fds = {
            "state": create(STATE_LAYOUT, b"ew_state"),
            "reported": create(REPORTED_LAYOUT, b"ew_reported"),
        }
        self._map()
        self._state["digest"], self._state["netns"] = digest, netns
        self._state["id"] = int.from_bytes(os.urandom(8), "little")

    def renew(self) -> None:
        """The predecessor's maps are not to be had: begin as if there had been none."""
        digest, netns = int(self._state["digest"]), int(self._state["netns"])
        self.close()
        self.adopted = False
        self._begin(digest, netns)

    def _adopt(self, pins: PinFolder, digest: int, netns: int) -> bool:
        found = {name: fd for name in ("state", "reported") if (fd := pins.open(f"map_{name}")) is not None}
        wanted = {"state": STATE_LAYOUT, "reported": REPORTED_LAYOUT}
        if {name: map_layout(fd) for name, fd in found.items()} == wanted:
            self._fds = found
            self._map()
            if int(self._state["netns"]) != netns:
                self.close()
                raise ValueError(
                    f"{pins.path} holds the pins of another network namespace; remove them with: "
                    f"eastwest agent --release --pin {pins.path}"
                )
            if int(self._state["digest"]) == digest:
                return True
            self.close()
            return False
        for fd in found.values():
            os.close(fd)
        return False

    def _map(self) -> None:
        self._memory = mmap.mmap(self._fds["state"], mmap.PAGESIZE)
        self._state = np.frombuffer(self._memory, STATE, 1)[0]
        self._argument = np.frombuffer(self._memory, DRAIN, 1, STATE.fields["drain"][1])  # type: ignore[index]

    def keep(self) -> None:
        """Pin, if there is a folder: from here on a successor finds it."""
        if self._pins is not None and not self.adopted:
            for name, fd in self._fds.items():
                self._pins.pin(f"map_{name}", fd)

    def close(self) -> None:
        del self._state, self._argument
        self._memory.close()
        for fd in self._fds.values():
            os.close(fd)
        self._fds = {}

    # --- drains ----------------------------------------------------------------------------------------------------
    @property
    def id(self) -> int:
        return int(self._state["id"])

    @property
    def number(self) -> int:
        """Of the last drain that began; 0: none has."""
        return int(self._state["begun"])

    @property
    def committed(self) -> int:
        return int(self._state["committed"])

    @property
    def end_ns(self) -> int | None:
        """Where the last window that was handed over ended, wall time."""
        return int(self._state["end_ns"][self.committed & 1]) or None

    @property
    def end_mono_ns(self) -> int | None:
        """The same moment by CLOCK_MONOTONIC, which nobody sets; None: not known."""
        return int(self._state["end_mono_ns"][self.committed & 1]) or None

    @property
    def argument(self) -> NDArray[Any]:
        """The drain program's argument and answer (1,): the kernel writes the answer here, whatever becomes of us."""
        return self._argument

    def begin(self, epoch: int) -> int:
        """A drain begins and will first move on to `epoch`. Returns its number."""
        self._state["runs"], self._argument["records"] = 0, NOT_RUN
        self._state["epoch"], self._state["turned_ns"] = epoch, time.time_ns()
        self._state["turned_mono_ns"] = time.monotonic_ns()
        return self._next()

    def resume(self) -> int:
        """The drain that was interrupted goes on, under a new number. What its last run wrote counts as one run."""
        self._state["runs"] = 1
        return self._next()

    def _next(self) -> int:
        number = self.number % 0xFFFF_FFFF + 1
        self._state["begun"] = number
        return number

    def running(self) -> None:
        """Before each run of the drain program."""
        self._argument["records"] = NOT_RUN
        self._state["runs"] += 1

    def commit(self, end_ns: int) -> None:
        """The window of the last drain is handed over: it will be sent, or declared lost, by whoever comes."""
        number = self.number
        self._state["end_ns"][number & 1] = end_ns
        self._state["end_mono_ns"][number & 1] = self._state["turned_mono_ns"]
        self._state["committed"] = number

    def handed_over(self, number: int, end_ns: int) -> None:
        """Somebody else remembers that this drain was handed over; a predecessor had no time to commit it."""
        if number == self.number:
            self.commit(end_ns)

    def interrupted(self, epoch: int) -> Interrupted | None:
        """The drain that a predecessor did not hand over, if it had moved the epoch on. `epoch`: as the kernel has it."""
        s = self._state
        if self.number == self.committed or int(s["epoch"]) != epoch:
            return None
        records = int(self._argument["records"][0])
        return Interrupted(
            (epoch - 1) & 1,
            int(s["turned_ns"]),
            int(s["turned_mono_ns"]) or None,
            0 if records == NOT_RUN else records,
            int(s["runs"]) > 1,
        )

    # --- interfaces ------------------------------------------------------------------------------------------------
    def report(
        self,
        ifindex: int,
        name: str,
        uid: str | None,
        netns: int | None,
        which: int,
        before: dict[int, NDArray[Any]],
        now: NDArray[Any],
    ) -> None:
        """`now` is what set `which` of an interface held at this drain; in force once the drain is committed."""
        entry = np.zeros(1, REPORTED)
        e = entry[0]
        for set_, totals in before.items():
            e["before"][set_] = totals
        e["prior"] = e["before"][which]
        e["before"][which] = now
        e["number"], e["set"] = self.number, which
        with self._lock:
            self._write(ifindex, entry, name, uid, netns)

    def named(self, ifindex: int, name: str, uid: str, netns: int | None) -> None:
        """Whose an interface is was found out: a successor knows it, also if pod and agent end before the next drain."""
        with self._lock:
            entry = np.zeros(1, REPORTED)
            bpf.lookup(self._fds["reported"], struct.pack("<I", ifindex), entry)
            self._write(ifindex, entry, name, uid, netns)

    def _write(self, ifindex: int, entry: NDArray[Any], name: str, uid: str | None, netns: int | None) -> None:
        e = entry[0]
        e["netns"], e["name"], e["uid"] = netns or 0, name.encode()[:16], (uid or "").encode()[:64]
        bpf.update(self._fds["reported"], struct.pack("<I", ifindex), entry)

    def forget(self, ifindex: int) -> None:
        with self._lock:
            bpf.delete(self._fds["reported"], struct.pack("<I", ifindex))

    def predecessors(self) -> list[Predecessor]:
        """Every interface that was reported before; what an uncommitted drain said of it is undone."""
        found = []
        for key in bpf.keys(self._fds["reported"], np.dtype("<u4")):
            entry = np.zeros(1, REPORTED)
            if not bpf.lookup(self._fds["reported"], key.tobytes(), entry):
                continue
            e = entry[0]
            before = {set_: e["before"][set_].copy() for set_ in (0, 1)}
            if int(e["number"]) > self.committed:
                before[int(e["set"])] = e["prior"].copy()
            uid = bytes(e["uid"]).decode() or None
            found.append(
                Predecessor(int(key), bytes(e["name"]).decode(errors="replace"), uid, int(e["netns"]) or None, before)
            )
        return found

    # --- what waits in memory --------------------------------------------------------------------------------------
    def waiting(self, amount: Amount, start_ns: int, end_ns: int) -> None:
        """What would be lost if this process were killed now: windows [start_ns, end_ns) not yet at the server."""
        other = 1 - int(self._state["unsent_at"])
        self._state["unsent"][other] = (amount.bytes, amount.packets, start_ns, end_ns)
        self._state["unsent_at"] = other

    def left_waiting(self) -> tuple[Amount, tuple[int, int]] | None:
        """What a predecessor took with it."""
        u = self._state["unsent"][int(self._state["unsent_at"])]
        if not int(u["end_ns"]):
            return None
        return Amount(int(u["bytes"]), int(u["packets"])), (int(u["start_ns"]), int(u["end_ns"]))
