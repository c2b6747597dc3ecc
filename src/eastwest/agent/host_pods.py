"""Records of the node's own sockets, told apart by host-network pod. Pure but for the cgroups that `owners` looks at.

The kernel says whose a connection is where it saw a local socket: on the way out always, on the way in sometimes. What is
left are datagrams that nobody answers: they belong to whoever accepts at their address and port, when that is one pod.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eastwest.agent import edges, sockdiag
from eastwest.agent.abi import FROM_POD, ROLES, TO_POD
from eastwest.agent.adoption import HOST, HOST_NAME
from eastwest.agent.edges import Edges
from eastwest.agent.owners import COLUMNS, NAME, CgroupPaths, Owners
from eastwest.agent.sockdiag import Bound
from eastwest.model.batch import Books, HookStatus
from eastwest.model.flow import Protocol, Reporter

log = logging.getLogger("eastwest.agent")
SHARED: Final = "owner_shared"
"""Event of the node's books: edges whose port several pods accept at, which therefore stay the node's."""
LOOK_S: Final = 1.0
TIDY_S: Final = 600.0
_SERVER: Final = ROLES.index(Reporter.SERVER)
_ANY: Final = bytes(16)


@dataclass(frozen=True, slots=True)
class OwnTotals:
    """What host-network pods had of the node's packets in one window; arrays (pods, 2) by direction, as `books`."""

    pod_uids: Sequence[str] = ()
    bytes: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    packets: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), np.int64))


class HostPods:
    """`tell` may be called by another thread; everything else is the tick's."""

    def __init__(self, owners: Owners, paths: CgroupPaths) -> None:
        self.owners, self._paths = owners, paths
        self._bound: Sequence[Bound] = ()
        self._looked_s = self._tidied_s = time.monotonic()
        self.shared = 0  # edges of the last window that several pods could have accepted

    @property
    def status(self) -> HookStatus:
        return self.owners.status

    def tell(self, bound: Sequence[Bound]) -> None:
        """The node's accepting sockets, as they are now."""
        self._bound = bound

    def poll(self) -> None:
        """Name new cgroups; call it often: some live shortly."""
        now = time.monotonic()
        if now - self._looked_s >= LOOK_S:
            self.look()
        if now - self._tidied_s >= TIDY_S:
            self._tidied_s = now
            self.owners.tidy(now)

    def look(self) -> None:
        """Name new cgroups now: before a drain writes their numbers."""
        self._looked_s = time.monotonic()
        self.owners.look()

    def assign(self, found: Edges) -> Edges:
        """The same amounts; what the node received without an answer becomes its accepting pod's."""
        keys = found.keys
        open_ = (keys["ifindex"] == HOST) & (keys["owner"] == 0) & (keys["role"] == _SERVER)
        rows = np.flatnonzero(open_ & (keys["protocol"] != Protocol.TCP))
        self.shared = 0
        if not len(rows):
            return found
        accepting = self._accepting()
        owner = np.zeros(len(found), np.uint16)
        for row in rows.tolist():
            key = keys[row]
            owner[row] = self._acceptor(accepting, int(key["protocol"]), int(key["dst_port"]), key["dst"].tobytes())
        told = owner > 0
        words = found.words.copy()
        words.view(edges.KEY).reshape(-1)["owner"][told] = owner[told]
        changed = Edges(words, found.sums, found.first_ns, found.last_ns, found.reasons)
        return edges.merge([_rows(changed, told), _rows(changed, ~told)])

    def totals(self, found: Edges) -> OwnTotals:
        """What each pod sent and received, by direction as the pod sees it."""
        keys, uids = found.keys, self.owners.uids
        rows = np.flatnonzero((keys["ifindex"] == HOST) & (keys["owner"] > 0))
        numbers, place = np.unique(keys["owner"][rows], return_inverse=True)
        served = keys["role"][rows] == _SERVER
        sums = found.sums[rows].astype(np.int64)
        made = []
        for first in (edges.SUMS.index("bytes_forward"), edges.SUMS.index("packets_forward")):
            table = np.zeros((len(numbers), 2), np.int64)
            forward, reverse = sums[:, first], sums[:, first + 1]
            np.add.at(table[:, FROM_POD], place, np.where(served, reverse, forward))
            np.add.at(table[:, TO_POD], place, np.where(served, forward, reverse))
            made.append(table)
        known = [i for i, number in enumerate(numbers.tolist()) if number in uids]
        return OwnTotals([uids[int(numbers[i])] for i in known], made[0][known], made[1][known])

    def close(self) -> None:
        self._paths.close()

    def _accepting(self) -> Mapping[tuple[int, int, bytes], set[int]]:
        """(protocol, port, address or zeros) -> numbers of the pods that accept there; 0 for a process of no pod."""
        bound = self._bound
        pod_of = self.owners.pod_of({b.cgroup_id for b in bound})
        found: dict[tuple[int, int, bytes], set[int]] = {}
        for b in bound:
            uid = pod_of.get(b.cgroup_id)
            number = self.owners.number(uid) if uid is not None else 0
            found.setdefault((b.protocol, b.port, b.address), set()).add(number)
        return found

    def _acceptor(
        self, accepting: Mapping[tuple[int, int, bytes], set[int]], protocol: int, port: int, address: bytes
    ) -> int:
        who = accepting.get((protocol, port, address)) or accepting.get((protocol, port, _ANY)) or {0}
        if len(who) > 1:
            self.shared += 1
            return 0
        return next(iter(who))


def beside(
    books: Sequence[Books], hook_bytes: NDArray[np.int64], hook_packets: NDArray[np.int64], own: OwnTotals
) -> tuple[list[str | None], NDArray[np.int64], NDArray[np.int64]]:
    """Pods, bytes and packets of the hooks, with what is host-network pods' taken from the node and set beside it."""
    node = [i for i, book in enumerate(books) if book.interface == HOST_NAME and book.pod_uid is None]
    left = []
    for totals, owned in ((hook_bytes, own.bytes), (hook_packets, own.packets)):
        rest = totals.copy()
        rest[node] = np.maximum(rest[node] - owned.sum(axis=0), 0)
        left.append(np.concatenate((rest, owned)))
    return [*(b.pod_uid for b in books), *own.pod_uids], left[0], left[1]


def open_or_status(owners_fd: int, root: Path) -> tuple[HostPods | None, HookStatus]:
    """What tells them apart where the cgroup tree can be opened, and what to report either way."""
    try:
        paths = CgroupPaths(root)
    except OSError as error:
        reason = f"host-network pods are recorded as their node: {root}: {error.strerror}"
        return None, HookStatus(NAME, "refused", reason, COLUMNS)
    made = HostPods(Owners(owners_fd, paths.find), paths)
    return made, made.status


def accepting_sockets() -> list[Bound]:
    """Of the network namespace that this process lives in; none where the kernel does not say."""
    try:
        return sockdiag.bound(os.getpid())
    except OSError as error:
        log.warning("the node's accepting sockets are not known: %s", error)
        return []


def _rows(e: Edges, chosen: NDArray[Any]) -> Edges:
    return Edges(e.words[chosen], e.sums[chosen], e.first_ns[chosen], e.last_ns[chosen], e.reasons[chosen])
