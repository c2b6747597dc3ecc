"""Two agents and a server that publish through the real code, fed with made-up windows, quiet or with everything wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from agent.metrics.factories_metrics import TCP, Traffic, make_columns
from agent.test_hoststats_ethtool import ENA, Driver
from deploy.synthetic_enforcement import agent_health, server_families
from eastwest.agent.hoststats_ethtool import AllowanceReader
from eastwest.agent.metrics import families as m
from eastwest.agent.metrics.agent import ActiveFlows, AgentMetrics, HookTotals
from eastwest.agent.metrics.exporter import Exporter
from eastwest.agent.metrics.names import PodNames
from eastwest.agent.metrics.node import Health
from eastwest.collector.counts import Counts
from eastwest.collector.metrics import exposer, own_families
from eastwest.collector.prices import shipped
from eastwest.model.batch import Amount, BatchHeader, Books, HookStatus
from eastwest.query.metrics.tcp import COLUMNS as TCP_COLUMNS
from eastwest.query.metrics.tcp import RTT_BUCKETS
from eastwest.query.metrics.traffic import TrafficMetrics
from eastwest.runtime.openmetrics import TextFormat
from eastwest.store.protocol import Status
from store.factories_flows import aws, internet, pod, record, table

TICK_S = 0.5
SLOW_BUCKETS = RTT_BUCKETS[12:]
HOOKS = tuple(HookStatus(name, "on") for name in ("tcx", "sock_ops", "dns", "drops", "policy-ingress"))
PODS = {"node-a": ("ui", "coredns"), "node-b": ("catalog", "orders")}


class FakeStore:
    def __init__(self) -> None:
        self.ready = True

    def status(self) -> Status:
        return Status(self.ready, "fake", 0)


class World:
    """Start it, and `agents` and `server` are addresses to scrape. `loud`: everything that can be wrong is."""

    def __init__(self, folder: Path, *, loud: bool) -> None:
        self.loud, self._window = loud, 0
        self._agents = {node: self._agent(node) for node in PODS}
        self._drivers = {}
        for node, agent in self._agents.items():
            self._drivers[node] = driver = Driver(ens5=dict(ENA, conntrack_allowance_available=10 if loud else 100_000))
            agent._node._reader = _Always(driver)  # type: ignore[assignment]
        self._store, self._counts = FakeStore(), Counts()
        self._store.ready = not loud
        lost: dict[tuple[str, str], int] = {("logs", ""): 1}
        self._traffic = TrafficMetrics(
            limit=5, prices=shipped(), exports=lambda: lost | ({("logs", "queue_full"): self._window} if loud else {})
        )
        own = own_families(self._counts, self._store, None)  # type: ignore[arg-type]
        expose = exposer(own, self._traffic.write, *server_families(folder, loud=loud))
        self._exporters = [Exporter("127.0.0.1:0", agent.render) for agent in self._agents.values()]
        self._exporters.append(Exporter("127.0.0.1:0", _for_exporter(expose)))
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> World:
        for exporter in self._exporters:
            exporter.start()
        self._tick()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        for exporter in self._exporters:
            exporter.stop()

    @property
    def agents(self) -> list[str]:
        return ["{}:{}".format(*e.address) for e in self._exporters[:-1]]

    @property
    def server(self) -> str:
        return "{}:{}".format(*self._exporters[-1].address)

    def _agent(self, node: str) -> AgentMetrics:
        names = PodNames()
        names.learn((f"uid-{p}", "kube-system" if p == "coredns" else "shop", f"{p}-0") for p in PODS[node])
        return AgentMetrics(cluster="c", node=node, version="1", boot_id="b", started_s=time.time(), names=names)

    def _run(self) -> None:
        while not self._stopping.wait(TICK_S):
            self._tick()

    def _tick(self) -> None:
        self._window += 1
        headers = [self._node_tick(node) for node in PODS]
        if self.loud:
            gone = time.time_ns() - 100 * 10**9
            headers.append(_header("node-gone", gone, (), HOOKS))
            self._counts.refuse("malformed")
        self._counts.add(batches=2, records=10)
        self._traffic.take(self._records(), headers)

    def _node_tick(self, node: str) -> BatchHeader:
        agent, loud = self._agents[node], self.loud
        traffic = [Traffic(f"uid-{p}", 40_000, 20_000, 3, protocol=17 if p == "coredns" else 6) for p in PODS[node]]
        if loud:
            stats = self._drivers[node].interfaces["ens5"]
            self._drivers[node].interfaces["ens5"] = {k: v + 100 * ("exceeded" in k) for k, v in stats.items()}
        for p in PODS[node]:
            rows = agent.pods.rows([f"uid-{p}"], time.time())
            agent.pods.add(m.DNS_REQUESTS, rows, np.array([10]))
            agent.pods.add(m.DNS_ERRORS, rows, np.array([5 if loud else 0]), ("SERVFAIL",))
            agent.pods.add(m.DNS_ERRORS, rows, np.array([3]), ("NXDOMAIN",))
            agent.pods.add(m.DROPS, rows, np.array([1]), ("NO_SOCKET",))
            agent.pods.add(m.POLICY_PACKETS, rows, np.array([20]), ("allowed",))
            agent.pods.add(m.POLICY_PACKETS, rows, np.array([5 if loud else 0]), ("denied",))
            agent.pods.observe(m.DNS_LATENCY, rows, np.ones((1, len(m.DNS_LATENCY.bounds) + 1), int), np.array([0.1]))
        books = tuple(self._books(t, i) for i, t in enumerate(traffic))
        hooks = (*HOOKS, HookStatus("conntrack", "refused", "EACCES")) if loud else HOOKS
        header = _header(node, time.time_ns(), books, hooks)
        health = Health(
            0.01, flow_entries=10, flow_limit=100, buffer_bytes=1, buffer_limit_bytes=10, shipped_batches=self._window,
            shipping_failures={"retry": self._window}, shipping_lost_bytes={"buffer_full": self._window} if loud else {},
            policy=agent_health(loud=loud),
        )  # fmt: skip
        uids, ones = [t.pod for t in traffic], np.ones(len(traffic), np.uint64)
        totals = HookTotals(uids, 40_000 * ones, 60 * ones, 20_000 * ones, 50 * ones)
        agent.tick(
            header, make_columns(traffic, dict.fromkeys(TCP, 2)), totals, health, ActiveFlows(uids, [6, 6], 2 * ones)
        )
        return header

    def _books(self, t: Traffic, i: int) -> Books:
        hook = Amount(t.ingress + t.egress, 110)
        if not self.loud:
            return Books(t.pod, f"veth{i}", hook, hook)
        lost = {"flow_map_full": Amount(5000, 5)}
        return Books(t.pod, f"veth{i}", hook, Amount(hook.bytes - 5001, 100), lost)

    def _records(self) -> pa.Table:
        ui = pod("src", "shop", "ui", ip="10.0.0.1", node="node-a")
        decided: dict[str, Any] = {"policy_allowed": 20, "allowed_by": "NetworkPolicy shop/ui egress[0]"}
        if self.loud:
            decided |= {
                "policy_denied": 5,
                "policy_would_deny": 3,
                "denied_by": "NetworkPolicy shop/ui egress isolation",
            }
        rows = [
            record(internet("src", "93.184.216.35"), pod("dst", "shop", "ui", ip="10.0.0.1"), reporter="server"),
            record(ui, pod("dst", "shop", "catalog", ip="10.0.1.1", node="node-b"), packets_forward=40, **decided),
            record(ui, pod("dst", "shop", "orders", ip="10.0.0.2", node="node-a"), packets_forward=40),
            record(ui, aws("dst", "52.216.1.1", "S3", "us-east-1"), packets_forward=40),
            record(ui, internet("dst", "93.184.216.34"), packets_forward=40),
        ]
        if self.loud and self._window > 30:  # after every pair above has a series of its own
            rows += [record(ui, pod("dst", "shop", f"w{i}", ip=f"10.0.2.{i}")) for i in range(4)]
        flows = table(*(r | {"connections_established": 0 if self.loud else 1} for r in rows))
        for column in TCP_COLUMNS:
            bad = self.loud and column in ("retransmits_established", "rtos_established", "connection_failures")
            slow = column in SLOW_BUCKETS
            value = 5 if bad or (slow and self.loud) else 1 if column.startswith("rtt") and not slow else 0
            at = flows.schema.get_field_index(column)
            flows = flows.set_column(at, flows.schema.field(at), pa.array([value] * flows.num_rows, pa.uint64()))
        return flows


class _Always(AllowanceReader):
    """Reads the prepared driver, whatever interfaces this machine has."""

    def read(self, interfaces: Any) -> Any:
        return AllowanceReader.read(self, ["ens5"])


def _for_exporter(expose: Callable[[str | None], tuple[bytes, str]]) -> Callable[[TextFormat], bytes]:
    return lambda text_format: expose("text/plain" if text_format is TextFormat.CLASSIC else None)[0]


def _header(node: str, end_ns: int, books: tuple[Books, ...], hooks: tuple[HookStatus, ...]) -> BatchHeader:
    return BatchHeader(
        cluster="c", node=node, boot_id="b", seq=0, window_start_ns=end_ns - 10**9, window_end_ns=end_ns,
        sent_at_ns=end_ns, agent_version="1", records=len(books), books=books, hooks=hooks,
    )  # fmt: skip
