"""Names the backends of Services where the kernel refuses the read of conntrack in its hooks: by a dump at each window.

A record has no client port, so a Service is resolved where all translated connections of one (client, address, port,
protocol) lead to one backend. Where they lead to several, nobody can tell which bytes went where: such records keep the
Service's address as their destination.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eastwest.agent import ctdump
from eastwest.agent.abi import ROLES
from eastwest.agent.edges import KEY, Edges
from eastwest.model.batch import HookStatus
from eastwest.model.flow import Reporter

HOOK: Final = "conntrack"
BY_NETLINK: Final = (
    "by netlink at the end of each window, as the kernel refuses the read in its hooks: "
    "a client whose connections to one Service have several backends keeps the Service's address, "
    "the server's end names no Service, and masquerading is not undone"
)
SOME_UNREAD: Final = f"{BY_NETLINK}; entries of an unknown form are left out"
_CLIENT: Final = ROLES.index(Reporter.CLIENT)


class Backends:
    """Not thread-safe. `status` is that of the hook `conntrack`, as of the last dump."""

    def __init__(self, refused: HookStatus, dump: Callable[[], ctdump.Dump] = ctdump.dump) -> None:
        self._refused, self._dump = refused, dump
        self.status = refused
        self._read()

    def among(self, hooks: Sequence[HookStatus]) -> tuple[HookStatus, ...]:
        """The kernel's hooks with what stands in for the refused one."""
        return tuple(self.status if h.name == HOOK else h for h in hooks)

    def name(self, edges: Edges) -> Edges:
        """The same rows in the same order; where one backend is known it becomes `dst`, and what was asked `service`."""
        found = self._read()
        return resolve(edges, found) if found is not None and len(found) else edges

    def _read(self) -> NDArray[Any] | None:
        try:
            dump = self._dump()
        except OSError as error:
            reason = f"{self._refused.reason}; over netlink: {error.strerror or error}"
            self.status = replace(self._refused, reason=reason)
            return None
        self.status = HookStatus(HOOK, "on", SOME_UNREAD if dump.unread else BY_NETLINK)
        return dump.tuples


def instead(hooks: Sequence[HookStatus]) -> Backends | None:
    """What stands in for the hook `conntrack`; None where the kernel has taken it."""
    refused = [h for h in hooks if h.name == HOOK and h.state == "refused"]
    return Backends(refused[0]) if refused else None


def resolve(edges: Edges, tuples: NDArray[Any]) -> Edges:
    """`tuples`: (m,) ctdump.TUPLES. Equal keys stay equal and different ones different, so nothing is added up anew."""
    words = edges.words.copy()
    keys = words.view(KEY).reshape(-1)
    rows = np.flatnonzero((keys["role"] == _CLIENT) & ~keys["service"].any(axis=1))
    chosen = keys[rows]
    asked = _words(tuples["src"], tuples["asked"], tuples["asked_port"], tuples["protocol"])
    wanted = _words(chosen["src"], chosen["dst"], chosen["dst_port"], chosen["protocol"])
    group = _groups(np.concatenate([asked, wanted]))
    of_tuple, of_row = group[: len(asked)], group[len(asked) :]
    one = np.full(len(group), -1, np.intp)
    one[of_tuple] = np.arange(len(asked))
    example = tuples[one[of_tuple]]
    several = np.zeros(len(group), np.bool_)
    differs = (example["answerer"] != tuples["answerer"]).any(axis=1)
    several[of_tuple[differs | (example["answerer_port"] != tuples["answerer_port"])]] = True
    sure = (one[of_row] >= 0) & ~several[of_row]
    rows, backend = rows[sure], tuples[one[of_row[sure]]]
    keys["service"][rows], keys["service_port"][rows] = keys["dst"][rows], keys["dst_port"][rows]
    keys["dst"][rows], keys["dst_port"][rows] = backend["answerer"], backend["answerer_port"]
    return replace(edges, words=words)


def _words(src: NDArray[Any], dst: NDArray[Any], port: NDArray[Any], protocol: NDArray[Any]) -> NDArray[np.uint64]:
    """(n, 5)"""
    ends = [np.ascontiguousarray(address).view(np.uint64).reshape(-1, 2) for address in (src, dst)]
    what = port.astype(np.uint64) << np.uint64(8) | protocol
    return np.concatenate([*ends, what[:, None]], axis=1)


def _groups(words: NDArray[np.uint64]) -> NDArray[np.intp]:
    """(n,): equal rows have equal numbers, below n."""
    order = np.lexsort(words.T)
    differs = np.zeros(len(words), np.bool_)
    differs[1:] = (words[order[1:]] != words[order[:-1]]).any(axis=1)
    group = np.empty(len(words), np.intp)
    group[order] = np.cumsum(differs)
    return group
