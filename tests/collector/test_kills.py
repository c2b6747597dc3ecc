"""kill -9 of the store's process, of the server, of both, while agents send: nothing acknowledged is lost or doubled."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest

from api.factories_batches import batch, recent
from api.running import RunningServer, eventually
from eastwest.wire.client import Outcome
from store.factories_flows import HOUR, pod, record

ROWS = 40
BATCHES = 24
KILLS = 3


class Agent(threading.Thread):
    """Sends numbered batches one after the other, each until it is acknowledged, as a real agent does."""

    def __init__(self, server: RunningServer, node: str) -> None:
        super().__init__(name=node)
        self.server, self.node = server, node
        self.acknowledged = 0
        self.retries = 0
        self.error: BaseException | None = None
        self._at = recent()

    def run(self) -> None:
        try:
            client = self.server.client(self.node, timeout_s=30)
            for seq in range(BATCHES):
                body = self._batch(seq)
                while (answer := client.post(body)).outcome is not Outcome.ACKNOWLEDGED:
                    assert answer.outcome is Outcome.RETRY, answer
                    self.retries += 1
                    threading.Event().wait(0.1)  # an agent backs off
                self.acknowledged += 1
        except BaseException as error:
            self.error = error

    def _batch(self, seq: int) -> bytes:
        """Half of the rows lie in another hour, so every block is cut in two."""
        rows = []
        for i in range(ROWS):
            src = pod("src", "shop", "ui", i, ip=f"10.0.{seq}.{i}", node=self.node)
            dst = pod("dst", "shop", "carts", ip="10.9.0.1")
            at = self._at - (2 * HOUR if i % 2 else 0)
            rows.append(record(src, dst, at=at, node=self.node, bytes_forward=1, connections=1))
        return batch(seq, rows, node=self.node)


def check(server: RunningServer, agents: list[Agent]) -> None:
    """Every batch of every agent exactly once, in both tables and in the books."""
    expected = len(agents) * BATCHES * ROWS
    whole = server.get("/api/v1/top", window="6h", by="namespace").json()
    assert whole["rows"] == [] or whole["rows"][0]["connections"] == expected
    for options in ({"window": "6h"}, {"start": _text(recent(7 * 3600)), "end": _text(recent(-60))}):
        edges = server.get("/api/v1/service-map", **options).json()["edges"]
        assert sum(e["connections"] for e in edges) == expected
    coverage = server.get("/api/v1/coverage", window="6h").json()
    assert coverage["hook_bytes"] == len(agents) * BATCHES * 1100


def _text(ns: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize("victim", ["store", "server", "both"])
def test_nothing_acknowledged_is_lost_or_doubled(tmp_path: Path, victim: str) -> None:
    chance = random.Random(victim)
    with RunningServer(tmp_path) as server:
        agents = [Agent(server, node) for node in ("node-a", "node-b", "node-c")]
        for agent in agents:
            agent.start()
        for kill in range(KILLS):
            floor = (kill + 1) * BATCHES // 6 + chance.randrange(3)
            eventually("progress", lambda floor=floor: min(a.acknowledged for a in agents) >= floor or _failed(agents))
            threading.Event().wait(chance.random() * 0.4)  # a kill at any moment of the cycle, not for a result
            if victim in ("store", "both"):
                server.kill_store()
            if victim in ("server", "both"):
                server.kill()
                server.start()
        for agent in agents:
            agent.join(120)
            assert agent.error is None, agent.error
            assert agent.acknowledged == BATCHES
        if victim == "store":  # nobody outside notices
            assert server.get("/healthz").json()["store"]["restarts"] == KILLS
            assert sum(a.retries for a in agents) == 0
        else:
            assert sum(a.retries for a in agents) > 0
        check(server, agents)
        server.stop()
        server.start()
        check(server, agents)
        assert server.stop() == 0
        assert list((server.data / "journal").iterdir()) == []


def _failed(agents: list[Agent]) -> bool:
    return any(a.error is not None for a in agents)
