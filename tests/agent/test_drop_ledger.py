from __future__ import annotations

import numpy as np

from eastwest.agent.drop.ledger import DROP, DropLedger


class Map:
    """The kernel's map: totals by reason."""

    def __init__(self) -> None:
        self.totals: dict[int, int] = {}
        self.born = 1
        self.late = 0  # added between the reading and the taking out

    def read(self) -> np.ndarray:
        entries = np.zeros(len(self.totals), DROP)
        for entry, (reason, packets) in zip(entries, self.totals.items(), strict=True):
            entry["key"]["reason"], entry["value"]["packets"], entry["value"]["bytes"] = reason, packets, packets * 10
            entry["value"]["born_ns"] = self.born
        return entries

    def take_out(self, key: np.ndarray) -> np.ndarray | None:
        packets = self.totals.pop(int(key["reason"][0])) + self.late
        return np.array([(packets, packets * 10, self.born)], DROP["value"])


def got(ledger: DropLedger) -> dict[int, int]:
    drops = ledger.increments()
    assert (drops["value"]["bytes"] == drops["value"]["packets"] * 10).all()
    return dict(zip(drops["key"]["reason"].tolist(), drops["value"]["packets"].tolist(), strict=True))


def test_totals_become_increments_and_quiet_entries_leave() -> None:
    kernel = Map()
    ledger = DropLedger(kernel.read, kernel.take_out)
    kernel.totals = {3: 5, 8: 1}
    assert got(ledger) == {3: 5, 8: 1}
    kernel.totals[3] = 9
    assert got(ledger) == {3: 4}
    assert kernel.totals == {3: 9}
    kernel.totals[8] = 2  # a new entry of the same kind
    assert got(ledger) == {8: 2}


def test_what_is_added_while_an_entry_is_taken_out_counts() -> None:
    kernel = Map()
    ledger = DropLedger(kernel.read, kernel.take_out)
    kernel.totals = {3: 5}
    got(ledger)
    kernel.late = 2
    assert got(ledger) == {3: 2}
    assert got(ledger) == {}


def test_a_successor_goes_on_where_the_ledger_before_it_ended() -> None:
    kernel = Map()
    before = DropLedger(kernel.read, kernel.take_out)
    kernel.totals = {3: 5, 8: 1}
    got(before)
    kernel.totals = {3: 7, 8: 1, 9: 4}
    assert got(DropLedger(kernel.read, kernel.take_out, before.seen)) == {3: 2, 9: 4}


def test_an_entry_that_was_taken_out_and_came_again_counts_from_zero() -> None:
    kernel = Map()
    before = DropLedger(kernel.read, kernel.take_out)
    kernel.totals = {3: 5}
    got(before)
    kernel.totals, kernel.born = {3: 6}, 2
    assert got(DropLedger(kernel.read, kernel.take_out, before.seen)) == {3: 6}
