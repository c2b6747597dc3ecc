"""Named counters in a per-CPU array map: one value per enum member, summed over the CPUs."""

from __future__ import annotations

from enum import IntEnum
from typing import TypeVar

import numpy as np

from eastwest.agent import bpf

_E = TypeVar("_E", bound=IntEnum)


def read_counters(map_fd: int, names: type[_E]) -> dict[str, int]:
    """Totals since load by lower-case name. They only rise."""
    value = np.zeros(bpf.possible_cpus(), "<u8")
    totals = {}
    for name in names:
        bpf.lookup(map_fd, int(name).to_bytes(4, "little"), value)
        totals[name.name.lower()] = int(value.sum())
    return totals
