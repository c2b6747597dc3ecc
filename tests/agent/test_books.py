"""Running totals in, one window's books out."""

from __future__ import annotations

import numpy as np

from agent.test_edges import make_records
from eastwest.agent.abi import INTERFACE_SET
from eastwest.agent.books import NOTHING, close, recorded_by_interface, since
from eastwest.agent.edges import from_records, merge
from eastwest.model.batch import Amount


def totals(hook: int = 0, lost: int = 0, events: int = 0) -> np.void:
    t = np.zeros(1, INTERFACE_SET)
    t["hook"]["bytes"] = hook
    t["hook"]["packets"] = hook // 10
    t["lost"]["bytes"][0, 1], t["lost"]["packets"][0, 1] = lost, lost // 10
    t["events"][0, 2] = events
    window: np.void = t[0]
    return window


def test_first_window_is_the_total() -> None:
    assert since(totals(50), None) == totals(50)


def test_difference_survives_a_total_that_went_down() -> None:
    """A drain may carry more into the next window than this one counted: totals are modulo 2^64."""
    down = since(totals(10), totals(30))
    assert int(down["hook"]["bytes"][0]) == 2**64 - 20
    assert since(totals(60), totals(10)) == totals(50)


def test_only_causes_that_happened_are_named() -> None:
    assert close("u", "v0", totals(100), Amount(200, 20)).lost == {}
    books = close("u", "v0", totals(100, 40, 3), Amount(160, 16))
    assert books.lost == {"unparsed_fragment": Amount(40, 4)}
    assert books.other == {"flow_map_full": 3}
    assert books.hook == Amount(200, 20)  # both directions
    assert books.unexplained == NOTHING


def test_unexplained_is_published_as_it_is() -> None:
    assert close("u", "v0", totals(100), Amount(150, 25)).unexplained == Amount(50, -5)


def test_recorded_by_interface() -> None:
    assert recorded_by_interface(merge([])) == {}
    records = make_records([1, 2, 3])
    records["ifindex"] = [7, 9, 7]
    found = recorded_by_interface(from_records(records))
    assert found == {7: Amount(100 + 300 + 1 + 3, 1 + 3), 9: Amount(202, 2)}
