"""Who has an address: the plan's identities, as prefixes. Pods one by one; everything else by the intervals that the
policies' CIDRs cut, both families' whole spaces covered; and the node's own addresses.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eastwest.enforce.numbering import Book
from eastwest.enforce.prefixes import with_background
from eastwest.model.plan import IDENTITIES, OWN_NODE, IdentityKind
from eastwest.policy.engine import Engine
from eastwest.policy.identities import FAMILIES
from eastwest.policy.ports import Ranges, normalize
from eastwest.policy.universe import Mask

BITS: Final = {4: 32, 6: 128}
MAPPED: Final = 0xFFFF << 32
"""IPv4 addresses live in ::ffff:0:0/96."""

EndKey = tuple[str, int, int]
"""What an end is known by from one engine to the next: (pod UID, family, 0) or ("", family, first address)."""
Prefix = tuple[bytes, int]


class AddressBook:
    """The addresses of one engine. `numbers` (n_identities,): the plan's number of each of the engine's identities."""

    def __init__(self, engine: Engine, book: Book[EndKey]) -> None:
        self._engine = engine
        self._pods = dict(engine.universe.pod_at)
        self.addressed: Mask = np.zeros(len(engine.identities), np.bool_)
        keys: list[EndKey] = []
        group: list[int] = []
        for (family, _), pod in self._pods.items():
            keys.append((uid(engine, pod), family, 0))
            group.append(int(engine.identities.of_pod[family][pod]))
        for family in FAMILIES:
            for start, identity in zip(
                engine.identities.intervals[family].starts, engine.identities.of_interval[family].tolist(), strict=True
            ):
                keys.append(("", family, start))
                group.append(identity)
        self.addressed[group] = True
        self.numbers: NDArray[np.uint32] = book.groups(keys, group, len(engine.identities))
        self._prefixes = self._all()
        self._rows = _array(self._prefixes)

    def of_node(self, node: str) -> NDArray[Any]:
        """`NodePlan.identities` for one node: everybody's, and its own addresses as `OWN_NODE`."""
        index = self._engine.universe.node_index.get(node, -1)
        own = [a for a, n in self._engine.universe.node_at.items() if n == index and a not in self._pods]
        mine = {_prefix(family, value, BITS[family]): (OWN_NODE, IdentityKind.OTHER) for family, value in own}
        replaced = [p for p in mine if p in self._prefixes]
        if not replaced:
            return np.concatenate((self._rows, _array(mine)))
        return _array(self._prefixes | mine)

    def _all(self) -> dict[Prefix, tuple[int, IdentityKind]]:
        """IPv6 first: where a prefix of both families is the same, it is IPv4's."""
        out: dict[Prefix, tuple[int, IdentityKind]] = {}
        for family in reversed(FAMILIES):
            owned: dict[int, Ranges] = {}
            space = self._engine.identities.intervals[family]
            for at, identity in enumerate(self._engine.identities.of_interval[family].tolist()):
                number = int(self.numbers[identity])
                owned[number] = (*owned.get(number, ()), space.bounds(at))
            background, others = with_background({n: normalize(r) for n, r in owned.items()}, BITS[family])
            out[_prefix(family, 0, 0)] = background, IdentityKind.OTHER
            for number, prefixes in others.items():
                for first, length in prefixes:
                    out[_prefix(family, first, length)] = number, IdentityKind.OTHER
        of_pod = self._engine.identities.of_pod
        for (family, value), pod in self._pods.items():
            number = int(self.numbers[of_pod[family][pod]])
            out[_prefix(family, value, BITS[family])] = number, IdentityKind.POD
        return out


def uid(engine: Engine, pod: int) -> str:
    """What a pod is called in plans; one known from manifests only has no UID."""
    found = engine.universe.pods[pod]
    return found.uid or f"{found.namespace}/{found.name}"


def _prefix(family: int, value: int, length: int) -> Prefix:
    if family == 4:
        return (MAPPED | value).to_bytes(16, "big"), 96 + length
    return value.to_bytes(16, "big"), length


def _array(entries: dict[Prefix, tuple[int, IdentityKind]]) -> NDArray[Any]:
    out = np.zeros(len(entries), IDENTITIES)
    if entries:
        addresses = b"".join(address for address, _ in entries)
        out["address"] = np.frombuffer(addresses, np.uint8).reshape(-1, 16)
        out["length"] = [length for _, length in entries]
        out["identity"] = [number for number, _ in entries.values()]
        out["kind"] = [kind for _, kind in entries.values()]
    return out
