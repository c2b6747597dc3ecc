"""Both ends of a connection report it; a counter must hold it once, and must never fall.

The flow table decides per window which report an edge reads: the client's, else the server's (`store.edges`). Counters
cannot look back, so reports that a better one may still replace wait for HOLD_S; what is counted once stays counted.
Pure: the clock is the caller's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from eastwest.model.schema import BY_NAME

pc: Any = pyarrow.compute  # its stubs know no mixture of columns and plain values

HOLD_S: Final = 12.0
"""How long the other end's report may arrive later: two windows and a retry."""
FORGET_S: Final = 120.0
"""An end that reported an edge counts as watching it for this long (at most twice as long)."""

RANKS: Final = range(1, 7)
CLIENT, SERVER, CLIENT_ALONE, SERVER_ALONE, FROM_SOURCE, FROM_DESTINATION = RANKS
"""Ranks of a report, best first. `…_ALONE`: the reporter could not name the far end, which may name itself."""

Keys = NDArray[np.uint64]
_MIRROR: Final = (("src_", "dst_"), ("_forward", "_reverse"))


@dataclass(slots=True)
class _Held:
    since_s: float
    keys: Keys
    ranks: NDArray[np.uint8]
    turned_keys: Keys  # for reports without a role: the edge seen the other way round
    table: pa.Table


class Reports:
    """Chooses the reports to count. Not thread-safe."""

    def __init__(self) -> None:
        self._seen = _nothing_seen()  # by rank: the edges reported with it in this generation
        self._older = _nothing_seen()  # the generation before
        self._born_s = 0.0
        self._held: list[_Held] = []

    def take(self, table: pa.Table, now_s: float) -> pa.Table:
        """Note one batch of named records and return those to count at once: the clients' own."""
        self._age(now_s)
        if not table.num_rows:
            return table
        role = _words(table, "reporter")
        ranks = np.select(
            [
                (role == "client") & (_words(table, "dst_kind") != "unknown"),
                (role == "server") & (_words(table, "src_kind") != "unknown"),
                role == "client",
                role == "server",
            ],
            [CLIENT, SERVER, CLIENT_ALONE, SERVER_ALONE],
            FROM_SOURCE,
        ).astype(np.uint8)
        as_is, turned_keys = edge_keys(table), edge_keys(table, turned=True)
        turn = (ranks == FROM_SOURCE) & _guess_turned(table)
        ranks[turn] = FROM_DESTINATION
        keys = np.where(turn, turned_keys, as_is)
        for rank in np.unique(ranks).tolist():
            self._seen[rank].update(keys[ranks == rank].tolist())
        later = ranks != CLIENT
        if later.any():
            other = np.where(turn, as_is, turned_keys)
            self._held.append(_Held(now_s, keys[later], ranks[later], other[later], table.filter(pa.array(later))))
        return table.filter(pa.array(~later))

    def settle(self, now_s: float) -> Iterator[pa.Table]:
        """Records that waited long enough and that no better report has replaced, each in the edge's direction."""
        while self._held and now_s - self._held[0].since_s >= HOLD_S:
            held = self._held.pop(0)
            best = self._best(held.keys)
            told = held.ranks >= FROM_SOURCE
            if told.any():
                told &= (best < FROM_SOURCE) | (self._best(held.turned_keys) < FROM_SOURCE)
            chosen = (held.ranks == best) & ~told
            for turned in (False, True):
                at = chosen & ((held.ranks == FROM_DESTINATION) == turned)
                if at.any():
                    part = held.table.filter(pa.array(at))
                    yield mirrored(part) if turned else part

    def _best(self, keys: Keys) -> NDArray[np.uint8]:
        """The best rank of each edge that was reported lately."""
        asked = keys.tolist()
        best = np.full(len(asked), 255, np.uint8)
        for rank in reversed(RANKS):
            for seen in (self._seen[rank], self._older[rank]):
                if seen:
                    best[np.fromiter(map(seen.__contains__, asked), np.bool_, len(asked))] = rank
        return best

    def _age(self, now_s: float) -> None:
        if now_s - self._born_s >= FORGET_S:
            self._older, self._seen, self._born_s = self._seen, _nothing_seen(), now_s


def _nothing_seen() -> dict[int, set[int]]:
    return {rank: set() for rank in RANKS}


def edge_keys(table: pa.Table, *, turned: bool = False) -> Keys:
    """A 64-bit name of (cluster, src_ip, dst_ip, protocol, dst_port) per row, shape (n,); `turned` swaps the ends."""
    source, target = _addresses(table, "src_ip"), _addresses(table, "dst_ip")
    port = table["dst_port"].to_numpy().astype(np.uint64)
    if turned:
        source, target = target, source
        port = pc.fill_null(table["src_port"], 0).to_numpy().astype(np.uint64)
    names = table["cluster"].combine_chunks().dictionary_encode()
    clusters = np.array([hash(name) & (2**64 - 1) for name in names.dictionary.to_pylist()], np.uint64)
    lanes = (
        source[:, 0],
        source[:, 1],
        target[:, 0],
        target[:, 1],
        port,
        table["protocol"].to_numpy().astype(np.uint64),
    )
    mixed: Keys = clusters[names.indices.to_numpy()]
    for lane in lanes:
        mixed = _mix(mixed ^ lane)
    return mixed


def mirrored(table: pa.Table) -> pa.Table:
    """Initiator and server changed places, with everything said about them."""
    return table.rename_columns([_other(name) for name in table.column_names]).select(table.column_names)


def oriented(table: pa.Table) -> pa.Table:
    """Records with those that know no role turned the way they most likely are, then as the server's own reports.

    The order of rows changes.
    """
    turn = (_words(table, "reporter") == "unknown") & _guess_turned(table)
    if not turn.any():
        return table
    part = mirrored(table.filter(pa.array(turn)))
    part = part.set_column(part.column_names.index("reporter"), "reporter", pa.array(["server"] * part.num_rows))
    return pa.concat_tables([table.filter(pa.array(~turn)), part], promote_options="permissive")


def _other(name: str) -> str:
    for one, two in _MIRROR:
        if one in name or two in name:
            swapped = name.replace(one, two) if one in name else name.replace(two, one)
            return swapped if swapped in BY_NAME else name
    return name


def _guess_turned(table: pa.Table) -> NDArray[np.bool_]:
    """Whether the destination began, when nobody knows: the lower port serves; without ports the lower address begins."""
    source_port = pc.fill_null(table["src_port"].cast(pa.uint32()), 65536).to_numpy()
    port = table["dst_port"].to_numpy()
    source, target = (_addresses(table, name).byteswap() for name in ("src_ip", "dst_ip"))
    below = (source[:, 0] < target[:, 0]) | ((source[:, 0] == target[:, 0]) & (source[:, 1] < target[:, 1]))
    above = ~below & (source != target).any(axis=1)
    no_ports = (port == 0) & np.isin(source_port, (0, 65536))
    by_port: NDArray[np.bool_] = (source_port < port) | ((source_port == port) & below)
    return np.where(no_ports, above, by_port)


def _addresses(table: pa.Table, name: str) -> Keys:
    """(n, 2) words of a column of 16-byte addresses."""
    array = table[name].combine_chunks()
    buffer: Any = array.buffers()[1]
    words: Keys = np.frombuffer(buffer, "<u8")[array.offset * 2 : (array.offset + len(array)) * 2].reshape(-1, 2)
    return words


def _words(table: pa.Table, name: str) -> NDArray[Any]:
    return table[name].to_numpy().astype(str)


def _mix(x: Keys) -> Keys:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
