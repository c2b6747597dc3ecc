from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from eastwest.agent.sock.ledger import Ledger
from eastwest.agent.sock.record import RECORD, Flag


def record(cookie: int, **fields: object) -> np.ndarray:
    made = np.zeros(1, RECORD)
    made["cookie"] = cookie
    made["opened_ns"] = 1
    for name, value in fields.items():
        made[name] = value
    return made


def records(*made: np.ndarray) -> np.ndarray:
    return np.concatenate(made)


def test_totals_become_increments() -> None:
    ledger = Ledger()
    first = ledger.take(record(5, retransmits=(0, 3, 0), established=1, connect_us=40))
    second = ledger.take(record(5, retransmits=(0, 7, 1), established=1, connect_us=40))
    assert first["retransmits"].tolist() == [[0, 3, 0]]
    assert (first["connect_us"][0], second["connect_us"][0]) == (40, 0)
    assert second["retransmits"].tolist() == [[0, 4, 1]]
    assert ledger.live == 1


def test_closing_ends_memory_and_a_cookie_used_again_starts_from_zero() -> None:
    ledger = Ledger()
    ledger.take(record(5, attempts=1))
    out = ledger.take(
        records(
            record(5, attempts=1, failures=1, flags=Flag.CLOSED),
            record(5, opened_ns=2, attempts=1),
            record(5, opened_ns=2, attempts=1, established=1),
        )
    )
    assert (out["attempts"].tolist(), out["failures"].tolist(), out["established"].tolist()) == ([0, 1], [1, 0], [0, 1])
    assert ledger.live == 1
    assert ledger.take(record(5, opened_ns=2, attempts=1, established=1)).tolist()[0][-1] is not None


def test_every_record_with_a_new_measurement_is_a_sample() -> None:
    out = Ledger().take(
        records(
            record(5, rtt_us=100, rtt_min_us=90, flags=Flag.RTT),
            record(5, rtt_us=100, rtt_min_us=90),
            record(5, rtt_us=3000, rtt_min_us=80, flags=Flag.RTT | Flag.CLOSED),
        )
    )
    assert (out["rtt_count"][0], out["rtt_sum_us"][0], out["rtt_min_us"][0]) == (2, 3100, 80)
    assert np.flatnonzero(out["rtt_histogram"][0]).tolist() == [2, 7]


def test_memory_is_bounded_and_what_is_forgotten_is_counted() -> None:
    ledger = Ledger(max_live=10)
    ledger.take(records(*(record(c, now_ns=c) for c in range(1, 31))))
    assert (ledger.live, ledger.forgotten) == (10, 20)


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 5), st.booleans(), st.booleans()), max_size=60))
@settings(max_examples=200, deadline=None)
def test_increments_add_up_to_the_last_totals(steps: list[tuple[int, int, bool, bool]]) -> None:
    """Whatever the order, the ticks, the closes and the reuses: the sum of increments = the sum of all totals."""
    ledger, pending, now = Ledger(), [], dict.fromkeys(range(1, 7), (1, 0))
    increments = 0
    finals: dict[tuple[int, int], int] = {}
    for cookie, more, close, tick in steps:
        opened, total = now[cookie]
        total += more
        finals[cookie, opened] = total
        pending.append(record(cookie, opened_ns=opened, attempts=total, flags=Flag.CLOSED if close else 0))
        now[cookie] = (opened + 1, 0) if close else (opened, total)
        if tick:
            increments += int(ledger.take(records(*pending))["attempts"].sum())
            pending = []
    if pending:
        increments += int(ledger.take(records(*pending))["attempts"].sum())
    assert increments == sum(finals.values())


def test_what_a_predecessor_told_is_not_told_again() -> None:
    """Of what the kernel says that windows were told, only those count that were handed over."""
    told = (record(5, retransmits=(0, n, 0), tick=tick, flags=Flag.AS_SENT) for tick, n in ((7, 3), (8, 4)))
    now = record(5, retransmits=(0, 9, 0), attempts=1, flags=Flag.CLOSED)
    everything = records(*told, now, record(6, attempts=1))
    assert Ledger().take(everything, committed=8)["retransmits"][:, 1].tolist() == [5, 0]
    assert Ledger().take(everything, committed=7)["retransmits"][:, 1].tolist() == [6, 0]
    assert Ledger().take(everything, committed=6)["retransmits"][:, 1].tolist() == [9, 0]


def test_what_was_told_may_come_a_call_before_the_news() -> None:
    ledger = Ledger()
    assert not ledger.take(record(5, resets=2, tick=7, flags=Flag.AS_SENT), committed=7).size
    assert ledger.take(record(5, resets=3, flags=Flag.CLOSED), committed=7)["resets"].tolist() == [1]
    assert ledger.live == 0


def test_closed_connections_together_are_what_they_are_one_by_one() -> None:
    """In any order, those that were seen alive among them, and one socket's two connections."""
    together, one_by_one = Ledger(), Ledger()
    alive = records(record(5, resets=1), record(8, retransmits=(1, 2, 0)), record(6, attempts=1))
    closed = records(
        record(8, retransmits=(1, 5, 1), rtt_us=70, rtt_min_us=60, flags=Flag.CLOSED | Flag.RTT),
        record(9, opened_ns=4, attempts=1, established=1, connect_us=30, flags=Flag.CLOSED),
        record(5, resets=3, flags=Flag.CLOSED),
        record(9, opened_ns=2, attempts=1, failures=1, flags=Flag.CLOSED),
    )
    together.take(alive)
    one_by_one.take(alive)
    found = together.take(closed)
    singly = records(*(one_by_one.take(closed[i : i + 1]) for i in range(len(closed))))
    assert found.tobytes() == singly.tobytes()
    assert found["retransmits"].tolist() == [[0, 3, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert (found["resets"].tolist(), found["rtt_count"].tolist()) == ([0, 0, 2, 0], [1, 0, 0, 0])
    assert together.live == one_by_one.live == 1
