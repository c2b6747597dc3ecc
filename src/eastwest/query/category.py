"""Where a record's traffic goes, as one word: the column people filter and add up by. Vectorised, pure.

What an end is decides before where it is: a node in another zone is `node`, and `prices` charges it by its zone all the
same. The rule itself lives in `query`, which groups by it too.
"""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute

from eastwest.query.metrics.labels import category

pc: Any = pyarrow.compute  # its stubs know no mixture of columns and plain values

CATEGORIES: Final = (
    "intra_zone", "inter_zone", "inter_region", "aws", "internet", "node", "service", "unknown",
)  # fmt: skip
"""`aws`: an AWS service's public address. `service`: a cluster Service whose backend was never seen."""


def with_category(table: pa.Table) -> pa.Table:
    """`table` with `category` and `zone_pair` (such as "eu-west-1a>eu-west-1b", initiator first; null when not known)."""
    separator = pa.scalar(">")
    pair = pc.binary_join_element_wise(table["src_zone"], table["dst_zone"], separator)  # null when either is
    return table.append_column("category", category(table)).append_column("zone_pair", pair)
