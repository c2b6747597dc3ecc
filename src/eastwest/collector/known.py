"""Which batches were already taken in: per agent start a few intervals of sequence numbers."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from eastwest.model.batch import BatchHeader

BatchId = tuple[str, str, str, int]
"""(cluster, node, boot_id, seq): names a batch for ever."""


def batch_id(header: BatchHeader) -> BatchId:
    return header.cluster, header.node, header.boot_id, header.seq


class KnownBatches:
    """A set of batch ids; sequences without gaps cost one interval. Not thread-safe: the writer's lock guards it."""

    def __init__(self, ids: Iterable[BatchId] = ()) -> None:
        self._intervals: dict[tuple[str, str, str], list[list[int]]] = {}
        for batch in sorted(ids):
            self.add(batch)

    def __contains__(self, batch: BatchId) -> bool:
        intervals = self._intervals.get(batch[:3], [])
        at = bisect_right(intervals, [batch[3], 2**63]) - 1
        return at >= 0 and intervals[at][1] >= batch[3]

    def add(self, batch: BatchId) -> None:
        """Remember one; again is harmless."""
        if batch in self:
            return
        seq = batch[3]
        intervals = self._intervals.setdefault(batch[:3], [])
        at = bisect_right(intervals, [seq, 2**63])
        joins_left = at > 0 and intervals[at - 1][1] == seq - 1
        joins_right = at < len(intervals) and intervals[at][0] == seq + 1
        if joins_left and joins_right:
            intervals[at - 1][1] = intervals[at][1]
            del intervals[at]
        elif joins_left:
            intervals[at - 1][1] = seq
        elif joins_right:
            intervals[at][0] = seq
        else:
            intervals.insert(at, [seq, seq])
