"""Real packets end to end: observe the shop, generate, and replay a second window that the generator never saw."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from e2e import expected
from eastwest.cli._stack import Plan, Stack
from eastwest.cli.main import main

pytestmark = [pytest.mark.root, pytest.mark.timeout(400)]

RARE = ("orders-report", "coredns")
"""A CronJob that runs once an hour, and names that are looked up when a connection pool is filled: a second window of a
minute need not see them again."""


def now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def purchases(stack: Stack) -> int:
    assert stack.lab is not None
    return sum(client["succeeded"] for client in stack.lab.clients())


def test_policies_learnt_in_one_window_hold_in_the_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Stack(Plan(["retail-store"], name=f"gen{os.getpid() % 100000}", listen="127.0.0.1:0")) as stack:
        wanted = expected.RETAIL_STORE
        stack.wait_for(
            "every edge of the shop",
            lambda: expected.seen(stack.get("/api/v1/service-map", window="15m")) >= wanted,
            120,
        )
        learnt = purchases(stack)
        stack.wait_for("fifty purchases more", lambda: purchases(stack) > learnt + 50, 60)
        middle = now()
        policies = tmp_path / "policies"
        where = ["--server", stack.url]
        learn = ["policy", "generate", *where, "--start", _minutes_ago(5), "--end", middle, "-o", str(policies)]
        code = main([*learn, "--json"])
        report = json.loads(capsys.readouterr().out)
        assert code == 0, report["refused"]
        before = purchases(stack)
        stack.wait_for("fifty purchases in a new window", lambda: purchases(stack) > before + 50, 60)
        assert (
            main(["policy", "replay", "--policies", str(policies), *where, "--start", middle, "--end", now(), "--json"])
            == 0
        )
    assert set(report["beyond_observed"]) == {"dns-tcp", "probe", "cidr-widening", "declared"}
    assert report["indistinguishable"] == []
    answer = json.loads(capsys.readouterr().out)
    assert answer["flows"] > 100
    assert answer["denied"] == []
    unused = [u for u in answer["unused"] if u["reason"] not in report["beyond_observed"]]
    for one in unused:
        rules = report["policies"][one["policy"]]
        line = [r for r in rules if r["direction"] == one["direction"]][one["rule"]]
        assert any(name in one["policy"] or name in line["peer"] for name in RARE), one


def _minutes_ago(minutes: int) -> str:
    moment = datetime.fromtimestamp(datetime.now(UTC).timestamp() - 60 * minutes, UTC)
    return moment.isoformat().replace("+00:00", "Z")
