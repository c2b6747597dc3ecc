"""What the node and the agent itself publish: books, interfaces, allowances, conntrack, agent health.

Values are taken once per window (`NodeMetrics.tick`), so that every scraper of a window reads the same. It reads the node
through `hoststats`; it does not know pods.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from eastwest.agent import hoststats
from eastwest.agent.hoststats_ethtool import AllowanceReader, Allowances
from eastwest.agent.metrics import families as m
from eastwest.model.batch import BatchHeader
from eastwest.runtime.openmetrics import Exposition, Family, Kind, label_text


@dataclass(frozen=True, slots=True)
class PolicyHealth:
    """What is enforced at the end of a window, and what policies did in it."""

    generation: int
    version: int
    waiting: Mapping[str, int]  # pods by direction
    refused: bool
    answers: Mapping[str, int]  # of the server, since start
    log_left_out: int  # lines, since start
    apply_seconds: Sequence[float]  # of each change in the window
    packets: Mapping[tuple[str, str], int]  # by (policy, verdict), of the window


@dataclass(frozen=True, slots=True)
class Health:
    """What the agent's loop knows about itself at the end of a window. None: not known, and then not published."""

    tick_seconds: float
    flow_entries: int | None = None
    flow_limit: int | None = None
    buffer_bytes: int | None = None
    buffer_limit_bytes: int | None = None
    shipped_batches: int = 0  # since the agent started
    shipping_failures: Mapping[str, int] = field(default_factory=dict)  # by outcome, since the agent started
    shipping_lost_bytes: Mapping[str, int] = field(default_factory=dict)  # by cause, since the agent started
    hook_counters: Mapping[str, int] = field(default_factory=dict)  # by event, since the agent started
    policy: PolicyHealth | None = None  # None: nothing is enforced


class NodeMetrics:
    """Not thread-safe: `metrics.AgentMetrics` guards it."""

    def __init__(self, cluster: str, node: str, version: str, boot_id: str, started_s: float) -> None:
        self._node = label_text(m.NODE, (node,))
        self._info = label_text(m.AGENT_INFO.labels, (node, cluster, version, boot_id))
        self._started_s = started_s
        self._reader = AllowanceReader()
        self._counted: dict[Family, Counter[tuple[str, ...]]] = {}
        self._now: dict[Family, dict[tuple[str, ...], float]] = {}
        self._applied = np.zeros((1, len(m.POLICY_APPLY.bounds) + 1), np.int64)
        self._applied_s = 0.0
        self.allowances: dict[str, Allowances] = {}
        self.hooks_on: frozenset[str] = frozenset()

    def tick(self, header: BatchHeader, health: Health, pod_interfaces: Collection[str] = ()) -> None:
        """Take in one closed window; `pod_interfaces` are left out of the node's interface totals."""
        self._books(header)
        self._read_host(frozenset(pod_interfaces))
        self._agent(header, health)
        if health.policy is not None:
            self._policy(health.policy)
        self.hooks_on = frozenset(h.name for h in header.hooks if h.state == "on")

    def render(self, out: Exposition) -> None:
        """Write every node and agent family that has a value."""
        out.write(m.AGENT_INFO, [self._info], [1])
        if m.POLICY_GENERATION in self._now:
            out.histogram(m.POLICY_APPLY, [self._node], self._applied, [self._applied_s], [self._started_s])
        for family in (*m.NODE_FAMILIES, *m.AGENT_FAMILIES):
            names = family.labels[1:]
            if family in self._counted:
                rows: Mapping[tuple[str, ...], float] = self._counted[family]
                created: list[float] | None = [self._started_s] * len(rows)
            elif family in self._now:
                rows = self._now[family]
                ours = family.kind is Kind.COUNTER and family not in m.OF_THE_KERNEL
                created = [self._started_s] * len(rows) if ours else None
            else:
                continue
            tails = [label_text(names, words) for words in rows]
            out.write(family, [f"{self._node},{t}" if t else self._node for t in tails], list(rows.values()), created)

    def _count(self, family: Family, amount: float, *words: str) -> None:
        self._counted.setdefault(family, Counter())[words] += amount  # type: ignore[assignment]

    def _set(self, family: Family, values: Mapping[tuple[str, ...], float | None]) -> None:
        self._now[family] = {words: v for words, v in values.items() if v is not None}

    def _books(self, header: BatchHeader) -> None:
        for family in (m.HOOK_BYTES, m.RECORDED_BYTES, m.NODE_UNEXPLAINED):
            self._count(family, 0)
        for book in header.books:
            self._count(m.HOOK_BYTES, book.hook.bytes)
            self._count(m.RECORDED_BYTES, book.recorded.bytes)
            self._count(m.NODE_UNEXPLAINED, abs(book.unexplained.bytes))
            for cause, amount in (*book.lost.items(), *book.unseen.items()):
                self._count(m.NODE_LOST_BYTES, amount.bytes, cause)

    def _read_host(self, pod_interfaces: frozenset[str]) -> None:
        totals = {n: t for n, t in hoststats.interfaces().items() if n not in pod_interfaces}
        for family, what in (
            (m.NET_BYTES, "bytes"),
            (m.NET_PACKETS, "packets"),
            (m.NET_ERRORS, "errors"),
            (m.NET_DROPS, "drops"),
        ):
            self._set(
                family,
                {
                    (n, side): getattr(t, f"{side}_{what}")
                    for n, t in totals.items()
                    for side in ("receive", "transmit")
                },
            )
        self.allowances = self._reader.read(totals)
        self._set(m.ALLOWANCE, {(n, k): v for n, a in self.allowances.items() for k, v in a.exceeded.items()})
        self._set(m.ALLOWANCE_LEFT, {(n,): a.conntrack_available for n, a in self.allowances.items()})
        usage = hoststats.conntrack()
        self._set(m.CONNTRACK_ENTRIES, {(): usage.entries if usage else None})
        self._set(m.CONNTRACK_LIMIT, {(): usage.limit if usage else None})

    def _policy(self, policy: PolicyHealth) -> None:
        self._set(m.POLICY_GENERATION, {(): policy.generation})
        self._set(m.POLICY_VERSION, {(): policy.version})
        self._set(m.POLICY_WAITING, {(direction,): n for direction, n in policy.waiting.items()})
        self._set(m.POLICY_REFUSED, {(): float(policy.refused)})
        self._set(m.POLICY_ANSWERS, {(answer,): n for answer, n in policy.answers.items()})
        self._set(m.POLICY_LOG_LEFT_OUT, {(): policy.log_left_out})
        for (name, verdict), packets in policy.packets.items():
            self._count(m.POLICY_BY, packets, name, verdict)
        bounds = np.array(m.POLICY_APPLY.bounds)
        for seconds in policy.apply_seconds:
            self._applied[0, int(np.searchsorted(bounds, seconds))] += 1
            self._applied_s += seconds

    def _agent(self, header: BatchHeader, health: Health) -> None:
        self._set(
            m.AGENT_HOOK, {(h.name, h.reason or ""): float(h.state == "on") for h in header.hooks if h.state != "off"}
        )
        self._set(m.AGENT_MEMORY, {(): hoststats.resident_bytes()})
        self._set(m.AGENT_CPU, {(): hoststats.cpu_seconds()})
        self._count(m.AGENT_TICKS, 1)
        self._set(m.AGENT_TICK_TIME, {(): health.tick_seconds})
        self._set(m.AGENT_LAST_TICK, {(): header.window_end_ns / 1e9})
        self._set(m.AGENT_PODS, {(): len({b.pod_uid for b in header.books if b.pod_uid})})
        self._set(m.AGENT_FLOW_ENTRIES, {(): health.flow_entries})
        self._set(m.AGENT_FLOW_LIMIT, {(): health.flow_limit})
        self._set(m.AGENT_BUFFER, {(): health.buffer_bytes})
        self._set(m.AGENT_BUFFER_LIMIT, {(): health.buffer_limit_bytes})
        self._set(m.AGENT_HOOK_EVENTS, {(event,): n for event, n in health.hook_counters.items()})
        self._set(m.AGENT_SHIPPED, {(): health.shipped_batches})
        self._set(m.AGENT_RETRIES, {(outcome,): n for outcome, n in health.shipping_failures.items()})
        self._set(m.AGENT_SHIPPING_LOST, {(cause,): n for cause, n in health.shipping_lost_bytes.items()})
