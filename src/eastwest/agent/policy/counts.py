"""What policies did in a window, for metrics: packets by pod, and by policy, from the window's records. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eastwest.agent.metrics import families as m
from eastwest.agent.metrics.hooks import Increment
from eastwest.agent.policy.events import known
from eastwest.agent.policy.reasons import ReasonBook
from eastwest.wire.batch import Columns, Words

_BY: Final = {"allowed": "allowed_by", "denied": "denied_by", "would_deny": "denied_by"}


def by_pod(columns: Columns) -> Iterator[Increment]:
    """Every pod of the records and every verdict that some packet had."""
    uids = columns["pod_uid"]
    assert isinstance(uids, Words)
    for verdict in m.VERDICTS:
        sums = _sums(uids, known(columns[f"policy_{verdict}"]))
        for i in np.flatnonzero(sums).tolist():
            yield Increment(m.POLICY_PACKETS, uids.words[i], sums[i : i + 1], (verdict,))


def by_policy(columns: Columns, book: ReasonBook) -> Counter[tuple[str, str]]:
    """(policy, verdict) -> packets; a policy is its tier and name, the kernel's own reasons are their key."""
    found: Counter[tuple[str, str]] = Counter()
    for verdict in m.VERDICTS:
        by = columns[_BY[verdict]]
        assert isinstance(by, Words)
        sums = _sums(by, known(columns[f"policy_{verdict}"]))
        for i in np.flatnonzero(sums).tolist():
            found[_policy(by.words[i], book), verdict] += int(sums[i])
    return found


def _policy(key: str | None, book: ReasonBook) -> str:
    reason = book.reason(key) if key is not None else None
    if reason is None or reason.policy is None:
        return key or "unknown"
    return f"{reason.tier} {reason.policy}"


def _sums(words: Words, amounts: NDArray[Any]) -> NDArray[np.int64]:
    """(len(words.words),) of whole packets."""
    return np.bincount(words.codes, amounts, len(words.words)).astype(np.int64)
