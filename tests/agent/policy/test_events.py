"""The policy log and the counters, from a window's columns: which lines, in what words, and what the rate left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eastwest.agent.metrics import families
from eastwest.agent.metrics.agent import AgentMetrics, HookTotals
from eastwest.agent.metrics.node import Health, PolicyHealth
from eastwest.agent.policy import counts
from eastwest.agent.policy.choice import LogChoice
from eastwest.agent.policy.events import EventLog, PodName
from eastwest.agent.policy.reasons import ReasonBook
from eastwest.model.batch import HookStatus
from eastwest.model.flow import ip_bytes
from eastwest.model.plan import NOBODY
from eastwest.runtime.openmetrics import TextFormat
from eastwest.wire.batch import Columns, Maybe, Words
from wire.factories_plan import ALLOW, ISOLATED
from wire.factories_wire import make_header

NAMES = {"u1": PodName("shop", "web-0"), "u2": PodName("pay", "till-0")}
SECOND = 1_000_000_000
END_NS = 1_700_000_000 * SECOND


def book() -> ReasonBook:
    found = ReasonBook()
    found.numbers((NOBODY, ALLOW, ISOLATED))
    return found


def window(*rows: tuple[str, str, int, int, int]) -> Columns:
    """(pod UID, destination, allowed, denied, would deny); all 0: nothing decided."""
    n = len(rows)

    def words(values: list[str | None]) -> Words:
        distinct = list(dict.fromkeys(values))
        return Words(np.array([distinct.index(v) for v in values], np.intp), distinct)

    decided = np.array([any(r[2:]) for r in rows])

    def measure(i: int) -> Maybe:
        return Maybe(np.array([r[i] for r in rows], np.uint64), decided)

    return {
        "pod_uid": words([r[0] for r in rows]),
        "reporter": words(["server"] * n),
        "src_ip": np.frombuffer(ip_bytes("10.0.0.9") * n, np.uint8).reshape(n, 16),
        "dst_ip": np.frombuffer(b"".join(ip_bytes(r[1]) for r in rows), np.uint8).reshape(n, 16),
        "dst_port": np.full(n, 8080, np.uint16),
        "protocol": np.full(n, 6, np.uint8),
        "policy_allowed": measure(2),
        "policy_denied": measure(3),
        "policy_would_deny": measure(4),
        "allowed_by": words([ALLOW.key if r[2] else None for r in rows]),
        "denied_by": words([ISOLATED.key if r[3] or r[4] else None for r in rows]),
    }


ROWS = (
    ("u1", "10.0.0.1", 50, 3, 0),
    ("u2", "10.0.0.2", 0, 0, 7),
    ("u1", "10.0.0.3", 0, 9, 0),
    ("u1", "10.0.0.4", 0, 0, 0),
)


def lines(folder: Path, **choice: Any) -> tuple[list[dict[str, Any]], EventLog]:
    file = folder / "policy.log"
    events = EventLog(LogChoice(str(file), **choice), book(), "c1", "n1")
    events.window(window(*ROWS), END_NS, 1.0, NAMES)
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else [], events


def test_denied_ones_first_the_most_packets_first(tmp_path: Path) -> None:
    found, _ = lines(tmp_path)
    assert [(e["verdict"], e["dst_ip"], e["packets"]) for e in found] == [
        ("denied", "10.0.0.3", 9), ("denied", "10.0.0.1", 3), ("would_deny", "10.0.0.2", 7),
    ]  # fmt: skip
    assert found[0] == {
        "time": "2023-11-14T22:13:20.000+00:00", "cluster": "c1", "node": "n1", "verdict": "denied", "direction": "ingress",
        "namespace": "shop", "pod": "web-0", "pod_uid": "u1", "src_ip": "10.0.0.9", "dst_ip": "10.0.0.3", "dst_port": 8080,
        "protocol": "TCP", "packets": 9, "by": "NetworkPolicy shop/web ingress isolation", "tier": "NetworkPolicy",
        "policy": "shop/web", "rule": None, "text": None,
    }  # fmt: skip


def test_all_and_by_namespace(tmp_path: Path) -> None:
    found, _ = lines(tmp_path, allowed=True, namespaces=frozenset({"shop"}))
    assert [(e["verdict"], e["packets"]) for e in found] == [("denied", 9), ("denied", 3), ("allowed", 50)]
    assert (found[2]["rule"], found[2]["text"]) == (0, "from front")


def test_what_the_rate_leaves_out_is_counted(tmp_path: Path) -> None:
    found, events = lines(tmp_path, rate=1)
    assert [e["verdict"] for e in found] == ["denied", "remainder"]
    assert (found[1]["lines"], found[1]["packets"]) == (2, 10)
    assert events.left_out == 2


def test_no_file_no_log_and_a_bad_one_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    EventLog(LogChoice(), book(), "c1", "n1").window(window(*ROWS), END_NS, 1.0, NAMES)
    events = EventLog(LogChoice(str(tmp_path)), book(), "c1", "n1")
    events.window(window(*ROWS), END_NS, 1.0, NAMES)
    events.window(window(*ROWS), END_NS, 1.0, NAMES)
    assert caplog.text.count("cannot be written") == 1
    assert "Is a directory" in events.complaint
    assert (events.lines, events.left_out) == (0, 6)  # two windows of three lines


def test_packets_by_pod_and_by_policy_reach_the_metrics() -> None:
    columns = window(*ROWS)
    assert counts.by_policy(columns, book()) == {
        ("NetworkPolicy shop/web", "allowed"): 50,
        ("NetworkPolicy shop/web", "denied"): 12,
        ("NetworkPolicy shop/web", "would_deny"): 7,
    }
    metrics = AgentMetrics(cluster="c1", node="n1", version="1", boot_id="b", started_s=0.0)
    health = Health(
        0.1,
        policy=PolicyHealth(
            generation=4, version=2, waiting={"ingress": 1, "egress": 0}, refused=True, answers={"delta": 3}, log_left_out=5,
            apply_seconds=[0.0015, 0.5], packets=counts.by_policy(columns, book()),
        ),
    )  # fmt: skip
    header = make_header(records=0, hooks=(HookStatus(families.POLICY_HOOK, "on"),))
    nothing = np.zeros(0, np.uint64)
    metrics.tick(
        header, {}, HookTotals([], nothing, nothing, nothing, nothing), health, more=list(counts.by_pod(columns))
    )
    text = metrics.render(TextFormat.OPENMETRICS).decode()
    for line in (
        'eastwest_pod_policy_packets_total{node="n1",pod_uid="u1",verdict="denied"} 12',
        'eastwest_pod_policy_packets_total{node="n1",pod_uid="u2",verdict="would_deny"} 7',
        'eastwest_node_policy_packets_total{node="n1",policy="NetworkPolicy shop/web",verdict="denied"} 12',
        'eastwest_agent_policy_generation{node="n1"} 4',
        'eastwest_agent_policy_plan_version{node="n1"} 2',
        'eastwest_agent_policy_pods_waiting{node="n1",direction="ingress"} 1',
        'eastwest_agent_policy_plan_refused{node="n1"} 1',
        'eastwest_agent_policy_plan_answers_total{node="n1",answer="delta"} 3',
        'eastwest_agent_policy_apply_seconds_bucket{node="n1",le="0.002"} 1',
        'eastwest_agent_policy_apply_seconds_bucket{node="n1",le="0.5"} 2',
    ):
        assert line in text, text
