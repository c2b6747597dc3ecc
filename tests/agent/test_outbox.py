"""The buffer: order, numbers without gaps, and every loss declared exactly once to a server that heard it."""

from __future__ import annotations

import pytest

from eastwest.agent import outbox
from eastwest.agent.outbox import Outbox, Shipment
from eastwest.model.batch import Amount
from wire.factories_wire import make_header


def put(box: Outbox, *starts: int, size: int = 10) -> None:
    for start in starts:
        header = make_header(window_start_ns=start, window_end_ns=start + 1, shipping_lost={}, shipping_lost_windows=())
        box.put(header, bytes(size), Amount(start * 10, start))


def head(box: Outbox) -> Shipment:
    (shipment,) = box.head(0)
    return shipment


def test_in_order_and_numbered() -> None:
    box = Outbox()
    put(box, 1, 2)
    first = head(box)
    assert head(box) is first  # the same until it is answered
    box.done(first)
    second = head(box)
    assert [first.header.seq, second.header.seq] == [0, 1]
    assert [first.header.window_start_ns, second.header.window_start_ns] == [1, 2]
    box.done(second)
    assert box.head(0) == []
    assert box.bytes == 0


def test_what_has_no_room_is_declared_in_the_next_header() -> None:
    box = Outbox(limit_bytes=30)
    put(box, 1)
    tried = head(box)
    put(box, 2, 3, 4, 5)
    assert (len(box), box.bytes) == (3, 30)
    box.done(tried)
    assert tried.header.shipping_lost == {}
    survivor = head(box)
    assert survivor.header.seq == 1
    assert survivor.header.window_start_ns == 4  # the oldest that was never tried went
    assert survivor.header.shipping_lost == {"buffer_full": Amount(50, 5)}
    assert survivor.header.shipping_lost_windows == ((2, 4),)  # neighbours are one
    box.done(survivor)
    assert head(box).header.shipping_lost == {}


def test_a_refused_parcel_is_declared_with_all_it_declared() -> None:
    box = Outbox(limit_bytes=20)
    put(box, 1, 2, 3)
    refused = head(box)
    assert refused.header.shipping_lost == {"buffer_full": Amount(10, 1)}
    box.done(refused, "poison")
    following = head(box)
    assert following.header.shipping_lost == {"poison": Amount(20, 2), "buffer_full": Amount(10, 1)}
    assert following.header.shipping_lost_windows == ((1, 2), (2, 3))


def test_a_window_larger_than_the_buffer_is_still_tried() -> None:
    box = Outbox(limit_bytes=5)
    put(box, 1)
    assert head(box).header.window_start_ns == 1
    put(box, 2, 3)
    assert len(box) == 2  # the one under way and the newest


def test_several_at_once_keep_their_numbers_whatever_is_answered() -> None:
    box = Outbox()
    put(box, 1, 2, 3, 4)
    several = box.head(0, 3)
    assert [s.header.seq for s in several] == [0, 1, 2]
    left: list[Amount] = []
    box.remember(lambda amount, *_: left.append(amount))
    box.done(several[1])  # taken
    assert left == [Amount(80, 8)]  # the first, the third and the fourth would be lost with this process
    put(box, 5)
    again = box.head(0, 3)
    assert again[0] is several[0]
    assert again[1] is several[2]
    assert [(s.header.seq, s.header.window_start_ns) for s in again] == [(0, 1), (2, 3), (3, 4)]
    assert [s.header.seq for s in box.head(0)] == [0]  # one, to find out whether the server is back
    for shipment in again:
        box.done(shipment)
    assert [(s.header.seq, s.header.window_start_ns) for s in box.head(0, 3)] == [(4, 5)]


def test_several_are_bounded_in_bytes_and_by_half_the_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    box = Outbox(limit_bytes=100)
    put(box, 1, 2, 3, 4, 5, 6, 7, 8)
    assert len(box.head(0, 100)) == 5
    monkeypatch.setattr(outbox, "REQUEST_BYTES", 25)
    box = Outbox()
    put(box, 1, size=30)  # larger than a request: alone
    put(box, 2, 3, 4)
    assert [s.header.window_start_ns for s in box.head(0, 100)] == [1]
    box.done(head(box))
    assert [s.header.window_start_ns for s in box.head(0, 100)] == [2, 3]


def test_a_refused_one_among_several_is_declared_in_the_next_number() -> None:
    box = Outbox()
    put(box, 1, 2, 3)
    several = box.head(0, 2)
    box.done(several[0], "poison")
    box.done(several[1])
    assert several[1].header.shipping_lost == {}
    assert head(box).header.shipping_lost == {"poison": Amount(10, 1)}
    assert head(box).header.shipping_lost_windows == ((1, 2),)
