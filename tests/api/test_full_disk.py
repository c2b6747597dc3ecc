"""A server whose disk is full: windows stay with their agents, changes are not made, each says why; then all goes on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.factories_batches import batch, recent
from api.running import RunningServer, eventually
from eastwest.wire.client import Outcome
from store.factories_flows import pod, record

pytestmark = pytest.mark.root


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "eastwest-test", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Until not a byte more fits; the file to remove."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    assert os.statvfs(disk).f_bavail == 0
    return filler


def row(at: int) -> dict[str, Any]:
    return record(pod("src", "", "", ip="10.0.0.1"), pod("dst", "", "", ip="10.0.0.2"), at=at)


def test_a_full_disk_stops_what_needs_it_and_says_so(disk: Path) -> None:
    with RunningServer(disk / "server") as server:

        def deny() -> httpx.Response:
            change = {"scope": "cluster", "posture": "deny"}
            return httpx.put(f"{server.url}/api/v1/enforcement/posture", json=change, timeout=30, trust_env=False)

        def postures() -> Any:
            return server.get("/api/v1/enforcement").json()["settings"]["postures"]

        before, windows = postures(), [batch(seq, [row(recent())]) for seq in range(3)]
        assert server.client().post(windows[0]).outcome is Outcome.ACKNOWLEDGED
        filler = fill(disk)
        answers = [server.client().post(windows[1]), *server.client().post_several(windows[1:])]
        assert {a.outcome for a in answers} == {Outcome.RETRY}
        assert all("No space left on device; free some space there" in a.reason for a in answers)
        health = server.get("/healthz")
        assert health.status_code == 503
        assert "journal: No space left on device" in " ".join(health.json()["reasons"])
        refused = deny()
        assert (refused.status_code, refused.json()["title"]) == (507, "no room to keep it")
        assert "nothing was changed: the server cannot write: No space left on device" in refused.json()["detail"]
        assert postures() == before
        filler.unlink()
        eventually("both windows to be taken in", lambda: _taken(server, windows[1:]))
        assert server.get("/healthz").json()["reasons"] == []
        assert sum(e["connections"] for e in server.get("/api/v1/service-map").json()["edges"]) == 3
        assert deny().status_code == 200
        assert postures() != before
        assert "Traceback" not in server.log.read_text()


def _taken(server: RunningServer, windows: list[bytes]) -> bool:
    return all(a.outcome is Outcome.ACKNOWLEDGED for a in server.client().post_several(windows))
