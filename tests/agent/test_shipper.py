"""Sending: what each answer leads to, with a server that answers as told."""

from __future__ import annotations

import struct
from collections.abc import Sequence

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
    """Answers each window in turn, the last answer for ever; keeps the headers it was sent, by request."""

    def __init__(self, *answers: Answer, by_window: dict[int, list[Answer]] | None = None) -> None:
        super().__init__("http://nowhere:1", "token")
        self._answers, self._by_window = list(answers), by_window or {}
        self.headers: list[BatchHeader] = []
        self.requests: list[list[int]] = []  # numbers

    def post(self, body: bytes) -> Answer:
        self.requests.append([])
        return self._one(body)

    def post_several(self, bodies: Sequence[bytes]) -> list[Answer]:
        self.requests.append([])
        return [self._one(body) for body in bodies]

    def _one(self, body: bytes) -> Answer:
        (length,) = struct.unpack_from("<I", body, 4)
        header = from_json(body[8 : 8 + length])
        self.headers.append(header)
        self.requests[-1].append(header.seq)
        own = self._by_window.get(header.seq)
        if own:
            return own.pop(0)
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
    box = Outbox()
    running = Shipper(box, lambda: client)
    running.start()
    put(box, 1)
    wait_for(lambda: bool(running.outcomes), "the first is refused")
    put(box, 2)
    wait_for(lambda: len(box) == 0, "the outbox is empty")
    running.stop(1)
    assert running.shipped == 1
    assert set(client.headers[1].shipping_lost) == {"poison"}


def test_a_backlog_goes_in_one_request() -> None:
    client = Scripted(TAKEN)
    assert ship(client, *range(1, 200)).shipped == 199
    assert client.requests == [list(range(128)), list(range(128, 199))]


def test_what_was_taken_of_several_is_not_sent_again_and_a_bad_one_holds_nobody() -> None:
    failed, poison = Answer(Outcome.FAILED, "HTTP 500: no"), Answer(Outcome.POISON, "HTTP 422: no")
    client = Scripted(TAKEN, by_window={1: [poison], 2: [failed, failed], 4: [Answer(Outcome.RETRY, "busy")]})
    done = ship(client, 1, 2, 3, 4, 5)
    assert client.requests == [[0, 1, 2, 3, 4], [2, 4], [2]]
    assert done.shipped == 4
    assert done.outcomes == {"poison": 1, "failed": 2, "retry": 1}
    assert done.complaint == ""


def test_a_server_that_is_away_is_tried_with_one_window() -> None:
    away = Answer(Outcome.RETRY, "away")
    client = Scripted(TAKEN, by_window={0: [away, away], 1: [away], 2: [away]})
    ship(client, 1, 2, 3)
    assert client.requests == [[0, 1, 2], [0], [0], [1, 2]]


def test_a_server_that_knows_one_window_a_request_gets_that() -> None:
    class Older(Scripted):
        def post_several(self, bodies: Sequence[bytes]) -> list[Answer]:
            return [Answer(Outcome.ONE_BY_ONE, "HTTP 404")] * len(bodies)

    client = Older(TAKEN)
    done = ship(client, 1, 2, 3)
    assert client.requests == [[0], [1], [2]]
    assert (done.shipped, done.outcomes) == (3, {"one_by_one": 1})


def test_a_token_that_is_missing_for_a_while_ends_nothing() -> None:
    box, client, missing = Outbox(), Scripted(TAKEN), [True, True]

    def reading() -> Client:
        if missing and missing.pop():
            raise FileNotFoundError(2, "No such file or directory", "/run/token")
        return client

    put(box, 1)
    running = Shipper(box, reading)
    running.start()
    wait_for(lambda: len(box) == 0, "the outbox is empty")
    running.stop(1)
    assert running.outcomes == {"denied": 2}
    assert client.requests == [[0]]


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
