"""A server that is still reading: it answers from the start, says what it is busy with, and takes nothing in by halves."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from api.factories_batches import batch
from api.running import RunningServer, eventually
from eastwest.api.models.health import Health
from eastwest.wire.client import Outcome

NODE = {
    "type": "ADDED",
    "at_ns": 1,
    "object": {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-a"}, "status": {}},
}


class Reading:
    """A server whose cluster objects come from a pipe: reading them lasts until `finish`."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "run" / "lab" / "slow" / "watch.jsonl"
        self._log.parent.mkdir(parents=True)
        os.mkfifo(self._log)
        self.server = RunningServer(folder / "server", "--lab", "slow")
        self.server.start(wait=False)
        eventually("the server to say what it does", lambda: "objects" in " ".join(self.health().reasons))

    def health(self) -> Health:
        def asked() -> httpx.Response | None:
            assert self.server.process is not None
            assert self.server.process.poll() is None, self.server.log.read_text()
            try:
                return self.server.get("/healthz")
            except httpx.TransportError:
                return None

        answer = eventually("an answer", asked)
        assert answer.status_code == 503
        return Health.model_validate(answer.json())

    def finish(self) -> None:
        """What is read next is an ordinary file; whoever waits at the pipe comes away with nothing."""
        pipe, plain = self._log.with_name("pipe"), self._log.with_name("plain")
        os.link(self._log, pipe)
        plain.write_text(json.dumps(NODE) + "\n")
        plain.rename(self._log)
        with pipe.open("wb"):
            pass


@pytest.fixture
def reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reading]:
    monkeypatch.setenv("EASTWEST_RUN_DIR", str(tmp_path / "run"))
    found = Reading(tmp_path)
    yield found
    if found.server.process is not None and found.server.process.poll() is None:
        found.server.kill()


def test_it_answers_while_it_reads_and_serves_when_it_has_read(reading: Reading) -> None:
    server = reading.server
    assert (server.get("/livez").status_code, server.get("/livez").json()) == (200, {"status": "alive"})
    health = reading.health()
    assert (health.status, health.reasons) == ("starting", ["not ready: reading the cluster's objects"])
    answer = server.get("/api/v1/enforcement")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["title"] == "not ready"
    assert "reading the cluster's objects" in answer.json()["detail"]
    taken = server.client().post(batch(0, []))
    assert (taken.outcome, taken.retry_after_s) == (Outcome.RETRY, 1.0)
    assert "ready in" not in server.log.read_text()

    reading.finish()
    eventually("the server to be ready", server.answers)
    assert server.get("/livez").status_code == 200
    assert "node-a" in eventually("the node", lambda: server.get("/api/v1/enforcement").text)
    assert server.client().post(batch(0, [])).outcome is Outcome.ACKNOWLEDGED
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()


def test_one_signal_waits_for_what_has_begun_and_the_second_does_not(reading: Reading) -> None:
    process = reading.server.process
    assert process is not None
    process.send_signal(signal.SIGTERM)
    eventually("the sockets to close", lambda: not _connects(reading.server))
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == -signal.SIGKILL


def test_a_signal_while_it_reads_ends_it_in_order(reading: Reading) -> None:
    process = reading.server.process
    assert process is not None
    process.send_signal(signal.SIGTERM)
    eventually("the sockets to close", lambda: not _connects(reading.server))
    reading.finish()
    assert process.wait(60) == 0
    assert not reading.server.socket.exists()
    assert "Traceback" not in reading.server.log.read_text()


def _connects(server: RunningServer) -> bool:
    try:
        server.get("/livez")
    except httpx.TransportError:
        return False
    return True
