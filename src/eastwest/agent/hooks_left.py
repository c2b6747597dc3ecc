"""What the hooks beside flow leave to a successor, beyond their own maps: the layouts' digest, counters, and in words what
is missing since."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Final

import numpy as np

from eastwest.agent.dns import record as dns_record
from eastwest.agent.drop.ledger import DROP
from eastwest.agent.handover import Handover
from eastwest.agent.sock import record as sock_record
from eastwest.agent.sock.waiting import HELD

_HANDOVER_VERSION: Final = 2
"""To be raised when what only the kernel's part knows of changes: struct sock_entry, the meaning of a part."""


def hooks_digest() -> int:
    """64 bits that change whenever a layout does that a successor reads, see `abi.digest`."""
    layouts = (
        sock_record.RECORD,
        sock_record.SUM_KEY,
        sock_record.SUM,
        DROP,
        HELD,
        dns_record.HEADER.format,
        _HANDOVER_VERSION,
    )
    raw = ";".join(str(d.descr) if isinstance(d, np.dtype) else str(d) for d in layouts).encode()
    return zlib.crc32(raw) << 32 | zlib.adler32(raw)


def counted(prefix: str, counters: Mapping[str, int]) -> bytes:
    return json.dumps({f"{prefix}_{name}": value for name, value in counters.items()}).encode()


def missing_since(handover: Handover, name: str, *, resumed: bool) -> str:
    """What of the time since a predecessor's last window is in no figure, in words."""
    if handover.lost.get(name):
        return f"{handover.lost[name]} records that the agent before had read ended with it"
    if handover.preceded and not resumed:
        return "it could not be taken over: nothing was seen between the agent before and this one"
    return ""
