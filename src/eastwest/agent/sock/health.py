"""Connections' increments to edges: which edge each belongs to, and its columns added up. Pure; no guess.

A connection is looked up in the flow map by the 5-tuple at its pod's interface (`agent.resolve`), which answers with the
very key under which its packets are recorded: roles and both sides of address translation included. What has no flow (a
host-network socket, a full flow map) keeps the addresses that the socket knows, and is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eastwest.agent.abi import FLOW_KEY, RECORD_KEY_BYTES, ROLE_SOURCES
from eastwest.agent.edges import KEY, SUMS, Edges
from eastwest.agent.sock.record import PHASES, Role
from eastwest.agent.sock.sums import Sums
from eastwest.model.flow import Protocol, RoleSource
from eastwest.model.histogram import BUCKETS

Increments = NDArray[Any]
Words = NDArray[np.uint64]
Column = NDArray[np.uint64]
Resolve = Callable[[NDArray[Any]], tuple[Words, NDArray[np.bool_]]]
Owners = Callable[[NDArray[np.uint64]], NDArray[np.uint16]]
"""Cgroup ids (n,) to numbers of host-network pods (n,), as abi.RECORD has them."""

_SUMS: Final = {
    "connection_attempts": ("attempts", None),
    "connection_failures": ("failures", None),
    "resets": ("resets", None),
    "connection_timeouts": ("timeouts", None),
    **{f"retransmits_{phase}": ("retransmits", i) for i, phase in enumerate(PHASES)},
    **{f"rtos_{phase}": ("rtos", i) for i, phase in enumerate(PHASES)},
    "rtt_count": ("rtt_count", None),
    "rtt_sum_us": ("rtt_sum_us", None),
    **{f"rtt_bucket_{i:02d}": ("rtt_histogram", i) for i in range(BUCKETS)},
    "connect_sum_us": ("connect_us", None),
}
"""Column -> (field of INCREMENT, index in it)."""

_SUMMED: Final = {
    **{name: place for name, place in _SUMS.items() if name != "rtt_count"},
    "connect_sum_us": ("connect_sum_us", None),
    "connect_count": ("connect_count", None),
    "rtt_min_us": ("rtt_min_us", None),
}
"""Column -> (field of record.SUM, index in it); `rtt_count` is what the histogram holds."""

COLUMNS: Final = (*_SUMS, "connect_count", "rtt_min_us")
"""Every column that follows from this hook. All merge by adding but `rtt_min_us`, the least, which is 0 for unknown."""

_LOOPBACK4: Final = int.from_bytes(b"\0\0\xff\xff\x7f\0\0\0", "little")  # the second half of ::ffff:127.0.0.0
_NETWORK4: Final = np.uint64((1 << 40) - 1)
_LOOPBACK6: Final = 1 << 56
_NEVER: Final = np.uint32(0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Health:
    """m distinct edges and their columns, (m,) each."""

    words: Words  # (m, 8), as edges.Edges.words
    columns: dict[str, Column]
    times_ns: NDArray[np.uint64]  # (m,): newest record of the edge, CLOCK_MONOTONIC
    unresolved: int  # connections that had no flow


def on_the_wire(increments: Increments) -> NDArray[np.bool_]:
    """Which connections leave their namespace, (n,): a pod that talks to itself makes no edge."""
    (upper, lower), (own_upper, own_lower) = (increments[end].view("<u8").T for end in ("remote", "local"))
    loopback = (upper == 0) & (((lower & _NETWORK4) == _LOOPBACK4) | (lower == _LOOPBACK6))
    return np.asarray(~(loopback | ((upper == own_upper) & (lower == own_lower))))


def of_edges(
    increments: Increments, ifindex_of: Mapping[int, int], resolve: Resolve, owners: Owners | None = None
) -> Health:
    """Add up per edge. `ifindex_of`: inode of a pod's network namespace -> the host's end of its veth. `owners`: whose
    the node's own sockets are; None: the node's."""
    ifindex = _translate(increments["netns"], ifindex_of)
    words, found = resolve(_flow_keys(increments, ifindex))
    if not found.all():
        words = np.where(found[:, None], words, _own_words(increments, ifindex, owners))
    distinct, first, row = _distinct(words)
    columns = _fold(increments, row, len(distinct))
    times = np.zeros(len(distinct), np.uint64)
    np.maximum.at(times, row, increments["now_ns"])
    return Health(words[first], columns, times, int((~found).sum()))


def of_sums(sums: Sums) -> Health:
    """What the kernel has added up already (dtype SUMS)."""
    key, value = sums["key"], sums["value"]
    columns = {
        name: (value[field] if index is None else value[field][:, index]).astype(np.uint64)
        for name, (field, index) in _SUMMED.items()
    }
    columns["rtt_count"] = value["rtt_histogram"].sum(axis=1, dtype=np.uint64)
    found = Health(np.ascontiguousarray(key["words"]), columns, value["now_ns"].copy(), 0)
    of_one_window = not len(sums) or bool((key["window"] == key["window"][0]).all())
    return found if of_one_window else _merge([found])


def add_up(parts: Sequence[Health]) -> Health:
    """One Health of several, each edge once."""
    parts = [p for p in parts if len(p.words) or p.unresolved] or parts[:1]
    return parts[0] if len(parts) == 1 else _merge(parts)


def _merge(parts: Sequence[Health]) -> Health:
    words = np.concatenate([p.words for p in parts])
    _, first, row = _distinct(words)
    columns: dict[str, Column] = {}
    for name in COLUMNS:
        values = np.concatenate([p.columns[name] for p in parts])
        if name == "rtt_min_us":
            least = np.full(len(first), _NEVER, np.uint64)
            np.minimum.at(least, row, np.where(values == 0, np.uint64(_NEVER), values))
            columns[name] = np.where(least == _NEVER, 0, least).astype(np.uint64)
        else:
            columns[name] = _sum(values, row, len(first))
    times = np.zeros(len(first), np.uint64)
    np.maximum.at(times, row, np.concatenate([p.times_ns for p in parts]))
    return Health(words[first], columns, times, sum(p.unresolved for p in parts))


def onto(edges: Edges, health: Health) -> tuple[Edges, dict[str, Column]]:
    """The edges, with those added that only `health` knows (no packets in this window), and a column each, (n,)."""
    everything = np.concatenate((edges.words, health.words))
    distinct, _, row = _distinct(everything)
    of_health = row[len(edges) :]
    place = np.full(len(distinct), -1, np.int64)
    place[row[: len(edges)]] = np.arange(len(edges))
    alone = place[of_health] < 0
    place[of_health[alone]] = len(edges) + np.arange(int(alone.sum()))
    added = _silent(health.words[alone], health.times_ns[alone])
    joined = Edges(*(np.concatenate((a, b)) for a, b in zip(_parts(edges), _parts(added), strict=True)))
    columns = {name: np.zeros(len(joined), np.uint64) for name in COLUMNS}
    for name in COLUMNS:
        columns[name][place[of_health]] = health.columns[name]
    return joined, columns


def _parts(edges: Edges) -> tuple[NDArray[Any], ...]:
    return edges.words, edges.sums, edges.first_ns, edges.last_ns, edges.reasons


def _silent(words: Words, times_ns: NDArray[np.uint64]) -> Edges:
    nothing = np.zeros((len(words), len(SUMS)), np.uint64)
    return Edges(words, nothing, times_ns, times_ns, np.zeros((len(words), 2), np.uint32))


def _translate(netns: NDArray[Any], ifindex_of: Mapping[int, int]) -> NDArray[np.uint32]:
    """0 for a namespace without an interface of ours."""
    known = np.array(sorted(ifindex_of), np.uint32)
    if not known.size:
        return np.zeros(len(netns), np.uint32)
    values = np.array([ifindex_of[int(k)] for k in known], np.uint32)
    at = np.minimum(np.searchsorted(known, netns), known.size - 1)
    return np.where(known[at] == netns, values[at], 0).astype(np.uint32)


def _flow_keys(increments: Increments, ifindex: NDArray[np.uint32]) -> NDArray[Any]:
    keys = np.zeros(len(increments), FLOW_KEY)
    keys["pod_addr"], keys["peer_addr"] = increments["local"], increments["remote"]
    keys["pod_port"], keys["peer_port"] = increments["local_port"], increments["remote_port"]
    keys["ifindex"], keys["protocol"] = ifindex, Protocol.TCP
    return keys


def _own_words(increments: Increments, ifindex: NDArray[np.uint32], owners: Owners | None) -> Words:
    """The edge as the socket itself knows it: a Service's address stays the destination."""
    keys = np.zeros(len(increments), KEY)
    role = increments["role"]
    server = role == Role.SERVER
    keys["src"] = np.where(server[:, None], increments["remote"], increments["local"])
    keys["dst"] = np.where(server[:, None], increments["local"], increments["remote"])
    keys["dst_port"] = np.where(server, increments["local_port"], increments["remote_port"])
    keys["src_port"] = np.where(role == Role.UNKNOWN, increments["local_port"], 0)
    keys["ifindex"], keys["protocol"], keys["role"] = ifindex, Protocol.TCP, role
    if owners is not None:
        keys["owner"] = np.where(ifindex == 0, owners(increments["cgroup_id"]), 0)
    source = np.where(
        role == Role.UNKNOWN, ROLE_SOURCES.index(RoleSource.UNKNOWN), ROLE_SOURCES.index(RoleSource.HANDSHAKE)
    )
    keys["role_source"] = source
    return np.ascontiguousarray(keys).view(np.uint64).reshape(len(keys), RECORD_KEY_BYTES // 8)


def _distinct(words: Words) -> tuple[NDArray[Any], NDArray[np.intp], NDArray[np.intp]]:
    """(distinct keys, index of the first row with each, each row's place among them)."""
    whole = np.ascontiguousarray(words).view(np.dtype((np.void, words.shape[1] * 8))).reshape(-1)
    distinct, first, row = np.unique(whole, return_index=True, return_inverse=True)
    return distinct, first, row.reshape(-1)


def _fold(increments: Increments, row: NDArray[np.intp], n_rows: int) -> dict[str, Column]:
    columns = {
        name: _sum(increments[field] if index is None else increments[field][:, index], row, n_rows)
        for name, (field, index) in _SUMS.items()
    }
    columns["connect_count"] = _sum(increments["connect_us"] > 0, row, n_rows)
    least = np.full(n_rows, _NEVER, np.uint32)
    known = increments["rtt_min_us"]
    np.minimum.at(least, row, np.where(known == 0, _NEVER, known))
    columns["rtt_min_us"] = np.where(least == _NEVER, 0, least).astype(np.uint64)
    return columns


def _sum(values: NDArray[Any], row: NDArray[np.intp], n_rows: int) -> Column:
    if not values.any():  # most figures of most connections
        return np.zeros(n_rows, np.uint64)
    # Weights are doubles: exact up to 2**53, far above any window's sum.
    return np.bincount(row, weights=values.astype(np.float64), minlength=n_rows).astype(np.uint64)
