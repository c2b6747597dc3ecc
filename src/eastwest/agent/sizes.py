"""How many entries the flow object's maps hold, and how long entries live."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

DEFAULT_FLOW_ENTRIES: Final = 65_536
DEFAULT_OVERFLOW_ENTRIES: Final = 16_384
SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Sizes:
    """Entries of the maps; `records` bounds one chunk of a drain (144 B each, resident), 0 chooses it by `flows`."""

    flows: int = DEFAULT_FLOW_ENTRIES
    overflow: int = DEFAULT_OVERFLOW_ENTRIES
    records: int = 0


@dataclass(frozen=True, slots=True)
class PolicySizes:
    """Entries of the policy maps, both sets together. Memory is taken as entries come, but for 16 B each of HASH maps."""

    identities: int = 131_072
    policed: int = 2_048
    pod_addresses: int = 4_096
    pod_ranges: int = 256
    cells: int = 262_144
    ports: int = 524_288
    links: int = 1_024


NO_POLICY: Final = PolicySizes(1, 1, 1, 1, 1, 1, 1)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long entries live, in nanoseconds."""

    carry_ns: int = SECOND
    closed_ns: int = SECOND // 2
    idle_tcp_ns: int = 3600 * SECOND
    idle_other_ns: int = 30 * SECOND


def chosen(sizes: Sizes) -> Sizes:
    """A drain walks the whole map once for each chunk of edges; the chunk is resident: 2.4 MB at most."""
    return sizes if sizes.records else replace(sizes, records=min(16_384, max(1024, sizes.flows // 8)))
