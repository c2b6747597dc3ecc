"""The server's own metrics: how many batches, how long inserts take, what waits. No labels about anybody's traffic."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from eastwest.collector.counts import Counts
from eastwest.collector.ranges.refresh import RangesFeed
from eastwest.collector.writer import Writer
from eastwest.runtime.openmetrics import Exposition, Family, Kind, label_text, negotiate
from eastwest.store.protocol import Store

_TOTALS: Final = {
    "batches": Family("eastwest_server_batches", Kind.COUNTER, "Batches made durable."),
    "batches_repeated": Family("eastwest_server_batches_repeated", Kind.COUNTER, "Batches received again and known."),
    "records": Family("eastwest_server_records", Kind.COUNTER, "Flow records made durable."),
    "blocks": Family("eastwest_server_blocks", Kind.COUNTER, "Blocks of coalesced batches written."),
    "blocks_replayed": Family("eastwest_server_blocks_replayed", Kind.COUNTER, "Blocks repeated from the journal."),
    "journal_failures": Family(
        "eastwest_server_journal_failures",
        Kind.COUNTER,
        "Blocks that could not be written to the journal, and were not taken in.",
    ),
    "inserts": Family("eastwest_server_inserts", Kind.COUNTER, "Inserts into the store."),
    "insert_retries": Family("eastwest_server_insert_retries", Kind.COUNTER, "Inserts that had to be tried again."),
}
_INSERT_SECONDS: Final = Family(
    "eastwest_server_insert_seconds", Kind.COUNTER, "Time spent in inserts into the store.", "seconds"
)
_REFUSED: Final = Family("eastwest_server_refused", Kind.COUNTER, "Batches not taken in, by cause.", labels=("cause",))
_PENDING: Final = Family("eastwest_server_pending_rows", Kind.GAUGE, "Records received and not yet durable.", "rows")
_READY: Final = Family("eastwest_server_store_ready", Kind.GAUGE, "1 when the store answers.")
_RESTARTS: Final = Family(
    "eastwest_server_store_restarts", Kind.COUNTER, "Times the store's process was started again."
)
_RANGES_CREATED: Final = Family(
    "eastwest_server_aws_ranges_created_seconds",
    Kind.GAUGE,
    "When Amazon made the ranges in use, Unix time.",
    "seconds",
)
_RANGES_REFUSED: Final = Family(
    "eastwest_server_aws_ranges_refused", Kind.GAUGE, "1 when the newest copy could not be used and an older one is."
)


Write = Callable[[Exposition], None]
"""Adds families to one answer."""


def own_families(counts: Counts, store: Store, writer: Writer | None, ranges: RangesFeed | None = None) -> Write:
    """The server's own metrics. The counters are those of this process: they begin now."""
    born = [time.time()]

    def write(out: Exposition) -> None:
        totals, refused = counts.snapshot()
        for name, family in _TOTALS.items():
            out.write(family, [""], [totals.get(name, 0)], born)
        out.write(_INSERT_SECONDS, [""], [totals.get("insert_ns", 0) / 1e9], born)
        causes = sorted(refused)
        labels = [label_text(("cause",), (c,)) for c in causes]
        out.write(_REFUSED, labels, [refused[c] for c in causes], born * len(causes))
        out.write(_PENDING, [""], [writer.pending_rows if writer else 0])
        status = store.status()
        out.write(_READY, [""], [int(status.ready)])
        out.write(_RESTARTS, [""], [status.restarts], born)
        if ranges is not None:
            used = ranges.used()
            out.write(_RANGES_CREATED, [""], [used.created_s])
            out.write(_RANGES_REFUSED, [""], [int(used.complaint is not None)])

    return write


def all_of(*writes: Write) -> Write:
    """One after the other."""

    def write(out: Exposition) -> None:
        for each in writes:
            each(out)

    return write


def exposer(*writes: Write) -> Callable[[str | None], tuple[bytes, str]]:
    """A function from an Accept header to (body, content type) that lets each of `writes` add its families."""

    def expose(accept: str | None) -> tuple[bytes, str]:
        text_format = negotiate(accept)
        out = Exposition(text_format)
        all_of(*writes)(out)
        return out.finish(), text_format.value

    return expose
