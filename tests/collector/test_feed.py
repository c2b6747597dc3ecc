"""The feed: what the sources report is in the inventory at once, and whoever subscribed hears of it."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from eastwest.collector.feed import InventoryFeed
from eastwest.k8s.inventory import Inventory
from eastwest.k8s.sources import WatchLogSource
from eastwest.model.batch import BatchHeader


def line(name: str, at_ns: int, **labels: str) -> str:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    return json.dumps({"type": "ADDED", "at_ns": at_ns, "object": body}) + "\n"


class Heard:
    """Waits until the inventory holds something; `rounds` counts the calls."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory, self._changed, self.rounds = inventory, threading.Condition(), 0

    def __call__(self) -> None:
        with self._changed:
            self.rounds += 1
            self._changed.notify_all()

    def until(self, latest_ns: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._inventory.latest_ns >= latest_ns, 5)


def test_a_line_in_the_log_is_heard_of(tmp_path: Path) -> None:
    log = tmp_path / "watch.jsonl"
    log.write_text(line("a", 5))
    inventory = Inventory([WatchLogSource(log)])
    feed, heard = InventoryFeed(inventory), Heard(inventory)
    feed.subscribe(heard)
    feed.start()
    try:
        assert inventory.present().latest_ns == 5
        with log.open("a") as file:
            file.write(line("b", 7))
        heard.until(7)
        assert {n.name for n in inventory.present().state.namespaces} == {"a", "b"}
        revision = inventory.revision
        with log.open("a") as file:
            file.write(line("b", 9))
        heard.until(9)
        assert inventory.revision == revision, "heard, although it changed nothing"
    finally:
        feed.stop()


def test_node_addresses_are_told_once(tmp_path: Path) -> None:
    inventory = Inventory()
    feed, heard = InventoryFeed(inventory), Heard(inventory)
    feed.subscribe(heard)
    header = BatchHeader("c", "n1", "boot", 0, 0, 1, 1, "0", 0, node_addresses=("192.0.2.1",))
    feed.learn([header])
    feed.learn([header])
    assert heard.rounds == 1
