"""Keeps the inventory up to date: asks its sources now and then, and once more just before records are named."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from eastwest.collector.enrich import Enricher
from eastwest.k8s.inventory import Inventory
from eastwest.model.batch import BatchHeader

log = logging.getLogger(__name__)

EVERY_S: Final = 1.0
FRESH_S: Final = 0.05


class InventoryFeed:
    """Polls `inventory` from one place at a time and hands out records with names."""

    def __init__(self, inventory: Inventory, keep_s: int | None = None) -> None:
        self._inventory = inventory
        self._keep_s = keep_s
        self._enricher = Enricher(inventory)
        self._lock = threading.Lock()  # guards the sources behind the inventory, and _polled
        self._polled = -FRESH_S
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """The first poll is done when this returns."""
        self.refresh()
        self._thread = threading.Thread(target=self._run, name="inventory")
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def refresh(self) -> None:
        """Ask the sources, unless they were asked a moment ago."""
        with self._lock:
            if time.monotonic() - self._polled >= FRESH_S:
                self._inventory.poll()
                self._polled = time.monotonic()

    def learn(self, headers: Sequence[BatchHeader]) -> None:
        """Take over what agents say about their own nodes."""
        for header in headers:
            self._inventory.learn_node_addresses(header.node, header.node_addresses)

    def enrich(self, records: pa.Table) -> pa.Table:
        """`records` with the collector's columns. For the writer's thread only."""
        self.refresh()
        return self._enricher.enrich(records)

    def _run(self) -> None:
        forgotten = time.monotonic()
        while not self._stopping.wait(EVERY_S):
            try:
                self.refresh()
                if self._keep_s is not None and time.monotonic() - forgotten > 3600:
                    forgotten = time.monotonic()
                    self._inventory.forget(time.time_ns() - self._keep_s * 1_000_000_000)
            except Exception:
                log.exception("reading the cluster's objects")
