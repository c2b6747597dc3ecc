"""Sending: what each answer leads to, with a server that answers as told."""

from __future__ import annotations

import struct

import pytest

from agent.netlab import wait_for
from agent.test_outbox import put
from eastwest.agent import shipper
from eastwest.agent.outbox import Outbox
from eastwest.agent.shipper import Shipper, delay_s
from eastwest.model.batch import BatchHeader
from eastwest.wire.client import Answer, Client, Outcome
from eastwest.wire.header import from_json


class Scripted(Client):
    """Answers in turn, the last one for ever; keeps the headers it was sent."""

    def __init__(self, *answers: Answer) -> None:
        super().__init__("http://nowhere:1", "token")
        self._answers = list(answers)
        self.headers: list[BatchHeader] = []

    def post(self, body: bytes) -> Answer:
        (length,) = struct.unpack_from("<I", body, 4)
        self.headers.append(from_json(body[8 : 8 + length]))
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


TAKEN = Answer(Outcome.ACKNOWLEDGED)


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipper, "FIRST_DELAY_S", 0.001)


def ship(client: Scripted, *windows: int) -> Shipper:
    box = Outbox()
    put(box, *windows)
    running = Shipper(box, lambda: client)
    running.start()
    wait_for(lambda: len(box) == 0, "the outbox is empty")
    running.stop(1)
    return running


def test_taken() -> None:
    client = Scripted(TAKEN)
    assert ship(client, 1, 2).shipped == 2
    assert [h.seq for h in client.headers] == [0, 1]


@pytest.mark.parametrize("outcome", [Outcome.RETRY, Outcome.DENIED])
def test_again_until_taken_under_the_same_number(outcome: Outcome) -> None:
    client = Scripted(Answer(outcome, "no"), Answer(outcome, "no"), TAKEN)
    done = ship(client, 1)
    assert [h.seq for h in client.headers] == [0, 0, 0]
    assert client.headers[0].sent_at_ns < client.headers[2].sent_at_ns
    assert done.outcomes == {outcome.value: 2}
    assert done.complaint == ""


def test_poison_is_dropped_and_declared() -> None:
    client = Scripted(Answer(Outcome.POISON, "HTTP 422: no"), TAKEN)
    done = ship(client, 1, 2)
    assert done.shipped == 1
    assert set(client.headers[1].shipping_lost) == {"poison"}


def test_the_end_does_not_wait_for_a_server_that_is_away() -> None:
    box = Outbox()
    put(box, 1)
    running = Shipper(box, lambda: Scripted(Answer(Outcome.RETRY, "away")))
    running.start()
    wait_for(lambda: running.complaint == "away", "a first attempt")
    running.stop(0.2)
    assert len(box) == 1


def test_delays_grow_jitter_and_obey(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipper, "FIRST_DELAY_S", 0.5)
    assert [delay_s(n, None, 1.0) for n in (1, 2, 3, 50)] == [0.5, 1.0, 2.0, 30.0]
    assert delay_s(3, None, 0.0) == 1.0
    assert delay_s(1, 7.0, 0.5) == 7.0
