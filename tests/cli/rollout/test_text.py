"""A rollout in words, from the API's answer."""

from __future__ import annotations

from typing import Any

from eastwest.cli.rollout._text import view
from eastwest.cli.rollout.command import wait


def answer(**changes: Any) -> dict[str, Any]:
    cells = [
        {"namespace": "shop", "node": "node-1", "ingress": "enforce", "egress": "enforce", "in_force": True, "why_not": None},
        {"namespace": "shop", "node": "node-2", "ingress": "audit", "egress": "off", "in_force": False, "why_not": "2 of 3 pods"},
    ]  # fmt: skip
    found = {
        "id": "ab12", "status": "running", "to": "enforce", "namespaces": ["shop"], "step": 1, "watched_s": 4.0,
        "hold_s": 10.0, "steps": [{"name": "enforce: node-1", "state": "current"}, {"name": "rest", "state": "waiting"}],
        "cells": cells, "stops": [], "events": [], "trouble": None, "not_seen_before": [],
    }  # fmt: skip
    return found | changes


def test_mixed_state_is_shown_per_namespace_and_node() -> None:
    shown = view(answer())
    assert [h.name for h in shown.heads] == ["NAMESPACE", "node-1", "node-2"]
    assert shown.rows == [["shop", "enforce", "ingress audit, egress off (not yet)"]]
    assert "rollout ab12 to enforce: running, step 1 of 2" in shown.notes
    assert "enforce: node-1: watched for 4 of 10 s" in shown.notes
    assert "shop on node-2: 2 of 3 pods" in shown.notes


def test_a_stop_comes_with_what_would_have_broken_and_the_missing_rule() -> None:
    flow = {"missing": "kind: NetworkPolicy\nspec: {}\n"}
    found = {"gate": "flows", "text": "shop/ui -> shop/cart TCP 8080 would be denied", "flow": flow}
    stop = {"at_ns": 0, "step": "enforce: node-1", "rolled_back": ["enforce: node-1"], "findings": [found]}
    shown = view(answer(status="stopped", stops=[stop]))
    assert list(shown.notes)[1:6] == [
        "shop on node-2: 2 of 3 pods",
        "00:00:00 stopped at enforce: node-1; rolled back: enforce: node-1",
        "flows: shop/ui -> shop/cart TCP 8080 would be denied",
        "missing:",
        "  kind: NetworkPolicy",
    ]


def test_waiting_tells_each_event_once(capsys: Any) -> None:
    first = {"at_ns": 0, "text": "started"}
    last = {"at_ns": 10**9, "text": "done"}
    answers = [answer(events=[first]), answer(events=[first, last], status="done")]
    assert wait(lambda: answers.pop(0), answer(events=[first]))["status"] == "done"
    assert capsys.readouterr().out.splitlines() == ["00:00:00 started", "00:00:01 done"]
