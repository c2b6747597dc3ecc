"""Keeps the inventory up to date: asks its sources as soon as their files change, now and then anyway, and once more just
before records are named; tells whoever subscribed that something was heard."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import pyarrow as pa

from eastwest.collector.enrich import Enricher
from eastwest.collector.ranges.aws import AwsRanges, shipped
from eastwest.k8s.inventory import Inventory
from eastwest.k8s.notify import FileChanges
from eastwest.model.batch import BatchHeader

log = logging.getLogger(__name__)

EVERY_S: Final = 1.0
FRESH_S: Final = 0.05


class InventoryFeed:
    """Polls `inventory` from one place at a time and hands out records with names."""

    def __init__(
        self, inventory: Inventory, keep_s: int | None = None, ranges: Callable[[], AwsRanges] = shipped
    ) -> None:
        self._inventory = inventory
        self._keep_s = keep_s
        self._enricher = Enricher(inventory, ranges)
        self._lock = threading.Lock()  # guards the sources behind the inventory, and _polled
        self._polled = -FRESH_S
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._changes: FileChanges | None = None
        self._listeners: list[Callable[[], None]] = []

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Have `listener` called, by whichever thread asked, when an event came in. Before `start`; must not block."""
        self._listeners.append(listener)

    def start(self) -> None:
        """The first poll is done when this returns."""
        try:
            self._changes = FileChanges(self._inventory.files())
        except OSError as error:
            log.warning("changes of the cluster are noticed within %s s only: %s", EVERY_S, error)
        self.refresh()
        self._thread = threading.Thread(target=self._run, name="inventory")
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._changes is not None:
            self._changes.wake()
        if self._thread is not None:
            self._thread.join()
        if self._changes is not None:
            self._changes.close()

    def refresh(self, now: bool = False) -> None:
        """Ask the sources, unless they were asked a moment ago and `now` is not set."""
        with self._lock:
            if not now and time.monotonic() - self._polled < FRESH_S:
                return
            before = self._inventory.latest_ns, self._inventory.revision
            self._inventory.poll()
            self._polled = time.monotonic()
            heard = before != (self._inventory.latest_ns, self._inventory.revision)
        for listener in self._listeners if heard else ():
            listener()

    def learn(self, headers: Sequence[BatchHeader]) -> None:
        """Take over what agents say about their own nodes."""
        before = self._inventory.revision
        for header in headers:
            self._inventory.learn_node_addresses(header.node, header.node_addresses)
        for listener in self._listeners if before != self._inventory.revision else ():
            listener()

    def enrich(self, records: pa.Table) -> pa.Table:
        """`records` with the collector's columns. For the writer's thread only."""
        self.refresh()
        return self._enricher.enrich(records)

    def _run(self) -> None:
        forgotten = time.monotonic()
        while True:
            changed = self._wait()
            if self._stopping.is_set():
                return
            try:
                self.refresh(now=changed)
                if self._keep_s is not None and time.monotonic() - forgotten > 3600:
                    forgotten = time.monotonic()
                    self._inventory.forget(time.time_ns() - self._keep_s * 1_000_000_000)
            except Exception:
                log.exception("reading the cluster's objects")

    def _wait(self) -> bool:
        """Until a source's file changed (True), or it is time to ask anyway."""
        if self._changes is not None:
            return self._changes.wait(EVERY_S)
        self._stopping.wait(EVERY_S)
        return False
