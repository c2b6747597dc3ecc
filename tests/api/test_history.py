"""How a range went, over a real server: what each step holds, and that what nobody watched is not zero."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from api.conftest import between, manifests
from api.factories_batches import batch, recent
from api.running import RunningServer
from api.test_answers import ask
from eastwest.query.history import MOST_STEPS, step_of
from eastwest.store.questions import Range
from eastwest.wire.client import Outcome
from store.factories_flows import SECOND

NOW = recent(0)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """ui calls carts 100 s ago and, denied, 40 s ago; the agent reports an empty window 20 s ago."""
    folder = tmp_path_factory.mktemp("history")
    with RunningServer(folder, "--manifests", str(manifests(folder / "manifests"))) as server:
        windows = [
            (100, {"bytes_forward": 1000, "bytes_reverse": 10, "policy_allowed": 4, "policy_denied": 0, "policy_would_deny": 0}),
            (40, {"bytes_forward": 60, "bytes_reverse": 0, "policy_allowed": 0, "policy_denied": 3, "policy_would_deny": 0,
                  "denied_by": "Posture egress"}),
        ]  # fmt: skip
        client = server.client("node-a")
        for seq, (ago, values) in enumerate(windows):
            times = {"window_start_ns": NOW - ago * SECOND, "window_end_ns": NOW - (ago - 5) * SECOND}
            row = between("10.0.0.1", "10.0.1.1", pod_uid="uid-ui-1", node="node-a", **times, **values)
            assert client.post(batch(seq, [row], node="node-a")).outcome is Outcome.ACKNOWLEDGED
        yield server


def _time(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // SECOND, UTC).isoformat()


def test_each_step_holds_what_happened_in_it_and_silence_is_not_zero(shop: RunningServer) -> None:
    points = ask(shop, "/api/v1/history", start=_time(NOW - 120 * SECOND), end=_time(NOW))["points"]
    assert points[0]["start_ns"] == NOW - 120 * SECOND
    assert points[-1]["end_ns"] == NOW
    assert all(a["end_ns"] == b["start_ns"] for a, b in pairwise(points))
    known = [p for p in points if p["watched"]]
    assert [(p["bytes"], p["policy_denied"], p["denied_edges"]) for p in known] == [(1010, 0, 0), (60, 3, 1)]
    assert all(p["start_ns"] <= NOW - ago * SECOND < p["end_ns"] for p, ago in zip(known, (100, 40), strict=True))
    silent = [p for p in points if not p["watched"]]
    assert silent
    assert all(p["bytes"] is None and p["edges"] is None for p in silent)


def test_a_filter_that_selects_nothing_leaves_zeros_where_somebody_watched(shop: RunningServer) -> None:
    asked = {"start": _time(NOW - 120 * SECOND), "end": _time(NOW), "filter": "dst_port=9"}
    watched = [p for p in ask(shop, "/api/v1/history", **asked)["points"] if p["watched"]]
    assert [(p["edges"], p["bytes"]) for p in watched] == [(0, 0), (0, 0)]


@pytest.mark.parametrize("seconds", [1, 7, 300, 599, 600, 900, 3600, 86400, 7 * 86400, 400 * 86400])
def test_steps_are_few_and_whole_minutes_where_minutes_are_read(seconds: int) -> None:
    step = step_of(Range(NOW - seconds * SECOND, NOW))
    assert seconds * SECOND / step + 1 <= MOST_STEPS
    assert seconds < 600 or step % (60 * SECOND) == 0
