"""The interfaces of local pods and the life of each: what to attach, what to drain, what to let go. No I/O of its own.

new ──attached──▶ held ──pod found──▶ live ──link gone, twice drained──▶ (removed)
                    └──nobody's after HOLD_S──▶ ignored ──pod found──▶ new

A node's own uplink may be a veth too, and would double every edge: so an interface whose pod is not known yet is attached
and counts, but its counts wait ("held") until its pod is found. An interface that ends before anybody could say whose
it was is recorded with an unknown pod.

Two threads share it: the watcher (links and pods) and the tick (drains). `_lock` guards everything.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from numpy.typing import NDArray

from eastwest.agent.attach import Hook
from eastwest.agent.bypass import BypassMeter
from eastwest.agent.listeners import Ports
from eastwest.agent.netlink import Link
from eastwest.agent.pods import PodProcess

HOLD_S: Final = 10.0
IGNORED_RETRY_S: Final = 30.0
_FIRST_RETRY_S: Final = 0.02
_LAST_RETRY_S: Final = 1.0


class State(Enum):
    NEW = "new"
    HELD = "held"
    LIVE = "live"
    IGNORED = "ignored"


@dataclass(slots=True)
class Interface:
    """One veth whose other end is in another network namespace."""

    link: Link
    since_s: float
    state: State = State.NEW
    pod: PodProcess | None = None
    gone: bool = False
    drains_since_gone: int = 0
    hooks: tuple[Hook, ...] = ()  # what is attached; see `take_hooks`
    before: dict[int, NDArray[Any]] = field(default_factory=dict)  # totals at the last drain, by set; owned by the tick
    bypass: BypassMeter = field(default_factory=BypassMeter)  # owned by the tick
    listeners: Ports = field(default_factory=set)  # owned by the watcher
    empty: bool = False  # nothing lives in its namespace, as far as we know
    tries: int = 0
    next_try_s: float = 0.0
    known_uid: str | None = None  # as a predecessor or a CNI plugin knew it, until we have found the pod ourselves
    known_netns: int | None = None
    host: bool = False  # the node itself: no link, and no pod to look for

    @property
    def ifindex(self) -> int:
        return self.link.ifindex

    @property
    def pod_uid(self) -> str | None:
        return self.pod.uid if self.pod else self.known_uid

    @property
    def is_unnamed(self) -> bool:
        """Whether its pod is still to be looked for."""
        return self.pod is None and not self.gone and not self.host

    @property
    def netns(self) -> int | None:
        """Inode of its pod's network namespace."""
        return self.pod.netns if self.pod else self.known_netns


class Interfaces:
    """Every candidate by interface index."""

    def __init__(self, hold_s: float = HOLD_S) -> None:
        self._hold_s = hold_s
        self.may_begin: Callable[[Interface], bool] = lambda _: False
        """Whether an interface into a namespace where nothing lives yet is kept hooked for the pod that may begin there."""
        self._lock = threading.Lock()
        self._by_index: dict[int, Interface] = {}
        self._announced: dict[int, str] = {}  # UIDs of pods that a CNI plugin told, by interface index

    def announced(self, ifindex: int, uid: str) -> None:
        """Whose an interface is, told by who made it; it may appear only after this."""
        with self._lock:
            known = self._by_index.get(ifindex)
            if known is None or known.gone:
                self._announced[ifindex] = uid
            else:
                self._tell(known, uid)

    @staticmethod
    def _tell(interface: Interface, uid: str) -> None:
        interface.known_uid = uid
        if interface.state is State.IGNORED:
            interface.state = State.NEW

    def adopt(self, interface: Interface) -> None:
        """One that a predecessor hooked. Before anything else is done here."""
        with self._lock:
            self._by_index[interface.ifindex] = interface

    # --- the watcher's side ----------------------------------------------------------------------------------------
    def appeared(self, link: Link, now_s: float) -> None:
        """A link is there, new or changed. A reused index waits until its predecessor has been drained."""
        if link.peer_nsid is None:
            return
        with self._lock:
            known = self._by_index.get(link.ifindex)
            if known is None:
                known = self._by_index[link.ifindex] = Interface(link, now_s)
                if link.ifindex in self._announced:
                    self._tell(known, self._announced.pop(link.ifindex))
            elif not known.gone:
                known.link = link

    def vanished(self, ifindex: int) -> Interface | None:
        """A link is gone. Returns it when it was attached: its last counts are still to be drained."""
        with self._lock:
            self._announced.pop(ifindex, None)
            known = self._by_index.get(ifindex)
            if known is None:
                return None
            if known.state in (State.NEW, State.IGNORED):
                del self._by_index[ifindex]
                return None
            known.gone = True
            return known

    def listed(self, links: Iterable[Link], now_s: float) -> list[int]:
        """All links there are. Returns the indices of those that went away unnoticed."""
        present = {link.ifindex: link for link in links}
        with self._lock:
            lost = [i for i, known in self._by_index.items() if i not in present and not known.gone and not known.host]
        for link in present.values():
            self.appeared(link, now_s)
        return lost

    def to_attach(self) -> Interface | None:
        """The next one to attach: those whose pod is known first."""
        with self._lock:
            new = [i for i in self._by_index.values() if i.state is State.NEW]
        return min(new, key=lambda i: (i.pod is None, i.since_s), default=None)

    def attaching(self, interface: Interface) -> bool:
        """From here on it may count. Returns whether its counts are to be held."""
        with self._lock:
            interface.state = State.HELD if interface.pod is None else State.LIVE
            return interface.state is State.HELD

    def failed(self, interface: Interface) -> None:
        """It could not be attached (it is gone, mostly): forget it; a new event may bring it back."""
        with self._lock:
            self._by_index.pop(interface.ifindex, None)

    def unnamed(self, now_s: float) -> list[Interface]:
        """Those whose pod should be looked for now."""
        with self._lock:
            return [i for i in self._by_index.values() if i.is_unnamed and i.next_try_s <= now_s]

    def named(self, interface: Interface, pod: PodProcess | None, now_s: float, *, empty: bool = False) -> None:
        """The outcome of looking for its pod. `empty`: no process lives in its namespace."""
        with self._lock:
            interface.empty = empty
            if pod is not None:
                interface.pod = pod
                if interface.state is State.IGNORED:
                    interface.state, interface.since_s = State.NEW, now_s
                return
            interface.tries += 1
            delay = min(_FIRST_RETRY_S * 2**interface.tries, _LAST_RETRY_S)
            interface.next_try_s = now_s + (IGNORED_RETRY_S if interface.state is State.IGNORED else delay)

    def next_try_s(self) -> float | None:
        """When `unnamed` will have something; None: nothing is unnamed."""
        with self._lock:
            waiting = [i.next_try_s for i in self._by_index.values() if i.is_unnamed]
        return min(waiting, default=None)

    # --- the tick's side -------------------------------------------------------------------------------------------
    def settle(self, now_s: float) -> tuple[list[Interface], list[Interface]]:
        """Decide what is held: returns (to release, to discard). Before the epoch moves on."""
        with self._lock:
            held = [i for i in self._by_index.values() if i.state is State.HELD]
            release = [i for i in held if i.pod_uid is not None or i.gone]
            late = [i for i in held if i.pod_uid is None and not i.gone and now_s - i.since_s >= self._hold_s]
            discard = [i for i in late if not (i.empty and self.may_begin(i))]
            for i in release:
                i.state = State.LIVE
            for i in discard:
                i.state, i.next_try_s = State.IGNORED, now_s + IGNORED_RETRY_S
        return release, discard

    def drained(self) -> tuple[list[Interface], bool]:
        """What this drain accounts for, and whether others are held. After the epoch moved on."""
        with self._lock:
            live = [i for i in self._by_index.values() if i.state is State.LIVE]
            return live, any(i.state is State.HELD for i in self._by_index.values())

    def counted(self, interface: Interface, packets: int) -> bool:
        """A drain found `packets` for it. True: it is gone, nothing can come any more, and it is forgotten now."""
        with self._lock:
            if not interface.gone:
                return False
            interface.drains_since_gone += 1
            if packets or interface.drains_since_gone < 2:
                return False
            del self._by_index[interface.ifindex]
            return True

    def take_hooks(self, interface: Interface) -> tuple[Hook, ...]:
        """What is attached to it, once: whoever gets it removes or leaves it."""
        with self._lock:
            hooks, interface.hooks = interface.hooks, ()
        return hooks

    def give_hooks(self, interface: Interface, hooks: tuple[Hook, ...]) -> tuple[Hook, ...]:
        """Replace what is attached to it; at no moment is it without. Returns what was."""
        with self._lock:
            old, interface.hooks = interface.hooks, hooks
        return old

    def snapshot(self) -> list[Interface]:
        with self._lock:
            return list(self._by_index.values())
