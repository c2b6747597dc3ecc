"""From accepted batches to rows in the store: gather for a moment, name, cut, journal, insert, acknowledge.

One thread owns the sequence, so blocks enter the store in the order of their journal. A block that is in the journal is
inserted, however long the store is away: its batches are never taken in a second time under another token.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa

from eastwest.collector.accept import Accepted
from eastwest.collector.counts import Counts
from eastwest.collector.journal import Journal, JournalError
from eastwest.collector.known import BatchId, KnownBatches, batch_id
from eastwest.model.batch import BatchHeader
from eastwest.query.live import Landed
from eastwest.runtime.topic import Topic
from eastwest.store.errors import StoreError
from eastwest.store.parts import Part, Receipt, cut
from eastwest.store.protocol import Store
from eastwest.store.questions import KnownBatches as AskKnownBatches
from eastwest.wire.decode import AGENT_SCHEMA

log = logging.getLogger(__name__)

GATHER_S: Final = 0.5
CATCH_UP_S: Final = 0.05
"""How long a block gathers when one of its agents has a backlog: an agent sends one window at a time, so each moment that
its answer waits is a moment longer until it has caught up."""
BACKLOG_NS: Final = 1_000_000_000
"""A window that waited longer than this with its agent has others behind it."""
BLOCK_ROWS: Final = 100_000
PENDING_ROWS: Final = 1_000_000
RETRY_S: Final = (0.1, 0.5, 2.0, 5.0)


Tap = Callable[[pa.Table, Sequence[BatchHeader]], None]
"""Sees each block's named records and the headers they came with, once, after they are durable. Must be quick."""


class BusyError(Exception):
    """Too much is waiting already; the agent keeps the batch and tries again."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    batch: Accepted
    done: Future[None] = field(default_factory=Future)


class Writer:
    """Takes batches from any thread; `submit` returns a future that is done when the batch is durable."""

    def __init__(
        self,
        store: Store,
        journal: Journal,
        enrich: Callable[[pa.Table], pa.Table],
        landed: Topic[Landed],
        counts: Counts,
        gather_s: float = GATHER_S,
        taps: Sequence[Tap] = (),
        learn: Callable[[Sequence[BatchHeader]], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._journal = journal
        self._enrich = enrich
        self._landed = landed
        self._counts = counts
        self._gather_s = gather_s
        self._taps = taps
        self._learn = learn
        self._queue: queue.Queue[_Waiting | None] = queue.Queue()
        self._lock = threading.Lock()  # guards the three below
        self._known = KnownBatches()
        self._in_flight: dict[BatchId, Future[None]] = {}
        self._pending_rows = 0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.stalled: str | None = None
        """Why a block cannot be journalled or inserted right now; None when all is well."""

    def start(self) -> None:
        """Repeat what a crash left in the journal, learn which batches are known, then take new ones."""
        self._counts.seen(self._journal.last_written_ns())
        self._journal.open()
        for path in self._journal.pending():
            self._insert(path, self._journal.read(path))
            self._counts.add(blocks_replayed=1)
        known = self._store.ask(AskKnownBatches())
        columns = (known.column(name).to_pylist() for name in ("cluster", "node", "boot_id", "seq"))
        with self._lock:
            self._known = KnownBatches(zip(*columns, strict=True))
        cut("warm-up", self._enrich(AGENT_SCHEMA.empty_table()), [])  # what is loaded on first use is loaded now
        self._thread = threading.Thread(target=self._run, name="collector-writer")
        self._thread.start()

    def stop(self) -> None:
        """Finish what is waiting, unless the store is away: then it stays in the journal or with the agent."""
        self._stopping.set()
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join()

    def submit(self, batch: Accepted) -> Future[None]:
        """Queue a batch; a known one is done at once, one that is already on its way is not queued again."""
        name = batch_id(batch.header)
        with self._lock:
            if name in self._known:
                self._counts.add(batches_repeated=1)
                done: Future[None] = Future()
                done.set_result(None)
                return done
            if name in self._in_flight:
                self._counts.add(batches_repeated=1)
                return self._in_flight[name]
            if self._stopping.is_set() or self._pending_rows >= PENDING_ROWS:
                raise BusyError("the server is stopping" if self._stopping.is_set() else "too much is waiting")
            waiting = _Waiting(batch)
            waiting.done.set_running_or_notify_cancel()  # an agent that hangs up cancels nothing
            self._in_flight[name] = waiting.done
            self._pending_rows += batch.records.num_rows
        self._queue.put(waiting)
        return waiting.done

    @property
    def pending_rows(self) -> int:
        """Rows accepted and not yet durable."""
        with self._lock:
            return self._pending_rows

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            block, ended = self._gather(first)
            self._keep(block)
            if ended:
                return

    def _gather(self, first: _Waiting) -> tuple[list[_Waiting], bool]:
        """What arrives within a moment of `first`, and whether the end of the queue was reached."""
        block, rows = [first], first.batch.records.num_rows
        deadline = time.monotonic() + self._moment_s(first)
        while rows < BLOCK_ROWS:
            try:
                waiting = self._queue.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            if waiting is None:
                return block, True
            block.append(waiting)
            rows += waiting.batch.records.num_rows
            deadline = min(deadline, time.monotonic() + self._moment_s(waiting))
        return block, False

    def _moment_s(self, waiting: _Waiting) -> float:
        """How long a block with this batch may gather from now on. Both times are by the agent's own clock."""
        header = waiting.batch.header
        waited_ns = header.sent_at_ns - header.window_end_ns
        return min(self._gather_s, CATCH_UP_S) if waited_ns > BACKLOG_NS else self._gather_s

    def _keep(self, block: list[_Waiting]) -> None:
        """Make a block durable and acknowledge it, or fail its batches before anything of them is kept."""
        try:
            self._learn([w.batch.header for w in block])
            flows = self._enrich(pa.concat_tables([w.batch.records for w in block]))
            name = f"{time.time_ns():020d}-{uuid.uuid4().hex}"
            parts = cut(name, flows, [Receipt(w.batch.header, w.batch.received_at_ns) for w in block])
            path = self._journal.write(name, parts)
        except JournalError as error:
            if str(error) != self.stalled:
                log.error("nothing is taken in: %s", error)
            self.stalled = str(error)
            self._counts.add(journal_failures=1)
            self._settle(block, BusyError(str(error)))
            return
        except Exception as error:
            if len(block) > 1:
                for waiting in block:
                    self._keep([waiting])
                return
            log.exception("batch %s is not taken in", batch_id(block[0].batch.header))
            self._settle(block, error)
            return
        if not self._insert(path, parts):
            self._settle(block, BusyError("the server is stopping"))
            return
        self._counts.add(batches=len(block), records=flows.num_rows, blocks=1)
        self._settle(block, None)
        headers = [w.batch.header for w in block]
        nodes = frozenset(h.node for h in headers)
        self._landed.publish(Landed(max(h.window_end_ns for h in headers), flows.num_rows, len(block), nodes))
        for tap in self._taps:
            try:
                tap(flows, headers)
            except Exception:
                log.exception("a block's records were kept, and not counted or exported")

    def _insert(self, path: Path, parts: Sequence[Part]) -> bool:
        """Insert a journalled block, as often as it takes; False when stopping came first (the journal keeps it)."""
        attempt = 0
        for part in parts:
            while True:
                try:
                    began = time.monotonic()
                    self._store.insert(part)
                    self._counts.add(insert_ns=int((time.monotonic() - began) * 1e9), inserts=1)
                    break
                except StoreError as error:
                    self.stalled = str(error)
                    self._counts.add(insert_retries=1)
                    log.warning("insert into %s: %s; trying again", part.table, error)
                    if self._stopping.wait(RETRY_S[min(attempt, len(RETRY_S) - 1)]):
                        return False
                    attempt += 1
        self.stalled = None
        self._journal.remove(path)
        return True

    def _settle(self, block: list[_Waiting], error: Exception | None) -> None:
        """Remember (or forget) the batches first, then answer, so that a repetition never slips between."""
        with self._lock:
            for waiting in block:
                name = batch_id(waiting.batch.header)
                if error is None:
                    self._known.add(name)
                self._in_flight.pop(name, None)
                self._pending_rows -= waiting.batch.records.num_rows
        for waiting in block:
            if error is None:
                self._counts.received(waiting.batch.received_at_ns)
                waiting.done.set_result(None)
            else:
                waiting.done.set_exception(error)
