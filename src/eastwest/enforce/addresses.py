"""Who has an address: a node's identities, as prefixes. Pods one by one; everything else by the intervals that CIDRs cut,
both families' whole spaces covered; and the node's own addresses.

Identities are a node's own: ends that none of *its* rules tells apart share one, so that a policy which does not concern
a node changes nothing there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eastwest.enforce.numbering import carried
from eastwest.enforce.prefixes import with_background
from eastwest.model.plan import IDENTITIES, OWN_NODE, IdentityKind
from eastwest.policy.engine import Engine
from eastwest.policy.identities import FAMILIES
from eastwest.policy.ports import Ranges, normalize
from eastwest.policy.universe import Mask

BITS: Final = {4: 32, 6: 128}
MAPPED: Final = 0xFFFF << 32
"""IPv4 addresses live in ::ffff:0:0/96."""

EndKey = tuple[bool, int, int]
"""(a pod's, family, its address or the interval's first one): what an end is known by from one engine to the next."""
Prefix = tuple[bytes, int]


class Ends:
    """Everybody who can be a peer in one engine: each address of a pod, then each interval of the outside.

    identity: (n,), the engine's. before: (n,), the position of the same end in an earlier `Ends`, -1 where there is none.
    """

    def __init__(self, engine: Engine, earlier: Ends | None = None) -> None:
        self.engine = engine
        self.pods = [(family, value) for family, value in engine.universe.pod_at]
        keys: list[EndKey] = [(True, family, value) for family, value in self.pods]
        of_pod = engine.identities.of_pod
        identity = [int(of_pod[family][pod]) for (family, _), pod in engine.universe.pod_at.items()]
        for family in FAMILIES:
            keys += [(False, family, start) for start in engine.identities.intervals[family].starts]
            identity += engine.identities.of_interval[family].tolist()
        self.identity: NDArray[np.int32] = np.asarray(identity, np.int32)
        self._at = {key: at for at, key in enumerate(keys)}
        known = earlier._at if earlier is not None else {}
        self.before: NDArray[np.int64] = np.fromiter((known.get(key, -1) for key in keys), np.int64, len(keys))
        self.addressed: Mask = np.zeros(len(engine.identities), np.bool_)
        self.addressed[self.identity] = True
        rows = [_prefix(family, value, BITS[family]) for family, value in self.pods]
        self.pod_rows: NDArray[Any] = _array(rows, np.zeros(len(rows), np.uint32), IdentityKind.POD)

    def __len__(self) -> int:
        return len(self.identity)


class NodeIdentities:
    """One node's. classes: (n_identities,), equal where its rules tell none apart, from 0 up.

    old: the numbers of the ends of `Ends.before`, 0 = none. numbers: (n_ends,) those of now, `next` the first free one.
    """

    def __init__(self, ends: Ends, classes: NDArray[np.int64], old: NDArray[np.uint32], first_free: int) -> None:
        self._ends = ends
        of_end = classes[ends.identity]
        was = np.append(old, np.uint32(0))[ends.before] if len(old) else np.zeros(len(ends), np.uint32)
        self.of_class, self.next = carried(was, of_end, int(classes.max()) + 1, first_free)
        self.numbers: NDArray[np.uint32] = self.of_class[of_end]

    def rows(self, node: str) -> NDArray[Any]:
        """`NodePlan.identities`. A pod's whole address is never anybody else's as well."""
        universe = self._ends.engine.universe
        pods = self._ends.pod_rows.copy()
        pods["identity"] = self.numbers[: len(pods)]
        taken = {_prefix(f, value, BITS[f]) for f, value in self._ends.pods}
        index = universe.node_index.get(node, -1)
        own = [_prefix(f, v, BITS[f]) for (f, v), n in universe.node_at.items() if n == index]
        own = [prefix for prefix in own if prefix not in taken]
        taken.update(own)
        spaces: dict[Prefix, int] = {}
        at = len(pods)
        for family in FAMILIES:
            space = self._ends.engine.identities.intervals[family]
            for prefix, number in self._space(family, self.numbers[at : at + len(space)].tolist()):
                if prefix not in taken:
                    spaces.setdefault(prefix, number)  # where both families have one, IPv4 came first
            at += len(space)
        others = _array(list(spaces), np.fromiter(spaces.values(), np.uint32, len(spaces)), IdentityKind.OTHER)
        mine = _array(own, np.full(len(own), OWN_NODE, np.uint32), IdentityKind.OTHER)
        return np.concatenate((pods, others, mine))

    def _space(self, family: int, numbers: list[int]) -> Iterable[tuple[Prefix, int]]:
        space = self._ends.engine.identities.intervals[family]
        owned: dict[int, list[tuple[int, int]]] = {}
        for interval, number in enumerate(numbers):
            owned.setdefault(number, []).append(space.bounds(interval))
        ranges: dict[int, Ranges] = {number: normalize(found) for number, found in owned.items()}
        background, rest = with_background(ranges, BITS[family])
        yield _prefix(family, 0, 0), background
        for number, prefixes in rest.items():
            for first, length in prefixes:
                yield _prefix(family, first, length), number


def _prefix(family: int, value: int, length: int) -> Prefix:
    if family == 4:
        return (MAPPED | value).to_bytes(16, "big"), 96 + length
    return value.to_bytes(16, "big"), length


def _array(prefixes: list[Prefix], numbers: NDArray[np.uint32], kind: IdentityKind) -> NDArray[Any]:
    out = np.zeros(len(prefixes), IDENTITIES)
    if prefixes:
        out["address"] = np.frombuffer(b"".join(address for address, _ in prefixes), np.uint8).reshape(-1, 16)
        out["length"] = [length for _, length in prefixes]
        out["identity"] = numbers
        out["kind"] = kind
    return out
