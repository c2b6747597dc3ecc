"""Whether a compiled object keeps its structs as Python reads them: said by the object's own BTF. Knows no object's meaning.

An object of other sources (a rebase without `make -C bpf`, half an upgrade) would have numpy read one struct as another, or the
kernel write past the end of a buffer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from eastwest.agent.btf import Btf, BtfError

Layouts = Mapping[str, np.dtype[Any]]
"""By the struct's name in C."""


def difference(raw: bytes, wanted: Layouts) -> str | None:
    """The first struct that is another one in the BTF `raw` of an object, in words; None when all are the same."""
    try:
        found = Btf(raw).structs(wanted)
    except BtfError as error:
        return f"its BTF cannot be read: {error}"
    for name, dtype in wanted.items():
        if name not in found:
            return f"it has no struct {name}"
        size, members = found[name]
        if size != dtype.itemsize:
            return f"struct {name} has {size} bytes there and {dtype.itemsize} here"
        here = {field: place[1] for field, place in (dtype.fields or {}).items()}
        moved = sorted({m for m, _ in members.items() ^ here.items()})
        if moved:
            return f"struct {name} has {', '.join(moved)} in another place"
    return None
