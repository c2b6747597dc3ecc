from __future__ import annotations

import numpy as np

from eastwest.agent.sock.health import on_the_wire
from eastwest.agent.sock.ledger import INCREMENT
from eastwest.agent.sock.waiting import PATIENCE_NS, Waiting
from eastwest.model.flow import ip_bytes

NODE, POD, LATE = 1, 2, 3


def increments(*netns: int) -> np.ndarray:
    made = np.zeros(len(netns), INCREMENT)
    made["netns"] = netns
    return made


def test_a_pod_found_later_loses_nothing() -> None:
    waiting = Waiting()
    first = waiting.sort(increments(POD, LATE, LATE), [POD], NODE, 0)
    assert first["netns"].tolist() == [POD]
    second = waiting.sort(increments(), [POD, LATE], NODE, PATIENCE_NS - 1)
    assert second["netns"].tolist() == [LATE, LATE]
    assert waiting.left_out == 0


def test_what_belongs_to_no_pod_is_counted_or_handed_out() -> None:
    waiting, all_ = Waiting(), Waiting(strangers=True)
    assert waiting.sort(increments(NODE, LATE), [POD], NODE, 0).size == 0
    assert waiting.left_out == 1  # the node's own, at once
    assert waiting.sort(increments(), [POD], NODE, PATIENCE_NS).size == 0
    assert waiting.left_out == 2
    assert all_.sort(increments(NODE), [POD], NODE, 0)["netns"].tolist() == [NODE]


def test_a_pod_that_talks_to_itself_makes_no_edge() -> None:
    made = increments(POD, POD, POD, POD)
    for row, (local, remote) in enumerate(
        [("127.0.0.1", "127.0.0.9"), ("::1", "::1"), ("10.0.0.1", "10.0.0.1"), ("10.0.0.1", "10.0.0.2")]
    ):
        made["local"][row], made["remote"][row] = (np.frombuffer(ip_bytes(a), np.uint8) for a in (local, remote))
    assert on_the_wire(made).tolist() == [False, False, False, True]
