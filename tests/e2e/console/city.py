"""A cluster of the size people have: 64 workloads in 14 namespaces, 296 pods on 12 nodes, told by agents' own batches.

Real manifests for a real server, and the batches that agents would send it over the wire: both ends report, hooks are
refused on some nodes, a policy denies here and audits there. The figures are invented, the same every time.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from api.factories_batches import batch
from api.running import RunningServer
from eastwest.model.batch import Amount, Books, HookStatus
from eastwest.model.flow import ip_bytes
from eastwest.model.histogram import BUCKETS
from eastwest.wire.client import Outcome
from store.factories_flows import SECOND, record

NODES = [f"ip-10-0-{n // 4 + 1}-{20 + n}" for n in range(12)]
ZONES = ("eu-west-1a", "eu-west-1b", "eu-west-1c")
NO_SOCK, NO_DROPS, NO_DNS = NODES[3], NODES[7], NODES[10]
"""A node each where the kernel refused one hook."""

_SIZES = {
    "storefront": {"web": 20, "bff": 16, "search": 12, "recommendations": 10, "assets": 6},
    "catalog": {"catalog": 14, "catalog-mysql/S": 3, "catalog-indexer": 2, "image-resizer": 6},
    "carts": {"carts": 8, "carts-redis/S": 3},
    "checkout": {"checkout": 8, "checkout-redis/S": 3, "fraud-check": 4, "tax": 2, "shipping-rates": 3},
    "orders": {"orders": 8, "orders-postgresql/S": 3, "orders-rabbitmq/S": 3, "order-worker": 6, "invoices/C": 1},
    "payments": {"payments": 6, "payments-vault/S": 3, "payments-postgresql/S": 3, "ledger": 4, "card-gateway": 4},
    "identity": {"auth": 8, "sessions-redis/S": 3, "identity-postgresql/S": 3, "oidc-proxy": 3},
    "notifications": {"email": 3, "sms": 2, "push": 3, "notify-queue/S": 3, "templates": 2},
    "analytics": {"events": 6, "kafka/S": 5, "clickhouse/S": 4, "sessions-etl": 3, "dashboards": 2, "reports/C": 1},
    "media": {"uploader": 4, "transcoder": 6, "thumbnails": 4, "media-postgresql/S": 2},
    "ml": {"inference": 6, "feature-store": 4, "features-redis/S": 3, "trainer/C": 1},
    "ingress": {"ingress-nginx": 6, "cert-manager": 1, "external-dns": 1, "waf": 4},
    "monitoring": {"prometheus/S": 2, "grafana": 2, "alertmanager/S": 2, "loki/S": 3, "node-logs/D": 12, "kube-state": 1},
    "kube-system": {"coredns": 4, "metrics-server": 2, "csi-node/D": 12, "autoscaler": 1, "snapshot-controller": 1},
}  # fmt: skip
_CALLED = """
waf>ingress-nginx:8443 ingress-nginx>web:8080 ingress-nginx>bff:8080 ingress-nginx>oidc-proxy:4180 ingress-nginx>assets:8080
web>bff:8080 web>assets:8080 bff>catalog:8080 bff>carts:8080 bff>checkout:8080 bff>orders:8080 bff>search:9200 bff>auth:9000
bff>recommendations:8080 search>catalog:8080 recommendations>inference:8500 recommendations>feature-store:6566
catalog>catalog-mysql:3306 catalog-indexer>catalog-mysql:3306 catalog-indexer>search:9200 image-resizer>catalog:8080
carts>carts-redis:6379 carts>catalog:8080 checkout>carts:8080 checkout>checkout-redis:6379 checkout>fraud-check:8080
checkout>tax:8080 checkout>shipping-rates:8080 checkout>orders:8080 checkout>payments:8443 fraud-check>inference:8500
orders>orders-postgresql:5432 orders>orders-rabbitmq:5672 order-worker>orders-rabbitmq:5672 order-worker>orders-postgresql:5432
order-worker>email:8025 order-worker>sms:8080 invoices>orders-postgresql:5432 invoices>email:8025 payments>ledger:8080
payments>payments-vault:8200 payments>payments-postgresql:5432 payments>card-gateway:8443 ledger>payments-postgresql:5432
auth>sessions-redis:6379 auth>identity-postgresql:5432 oidc-proxy>auth:9000 email>notify-queue:5672 sms>notify-queue:5672
push>notify-queue:5672 email>templates:8080 push>templates:8080 web>events:8080 bff>events:8080 events>kafka:9092
sessions-etl>kafka:9092 sessions-etl>clickhouse:9000 dashboards>clickhouse:8123 reports>clickhouse:8123 reports>email:8025
uploader>media-postgresql:5432 uploader>transcoder:8080 transcoder>thumbnails:8080 thumbnails>assets:8080
feature-store>features-redis:6379 inference>feature-store:6566 trainer>feature-store:6566 trainer>clickhouse:9000
grafana>prometheus:9090 grafana>loki:3100 prometheus>alertmanager:9093 node-logs>loki:3100 prometheus>kube-state:8080
kafka>kafka:9093 catalog-mysql>catalog-mysql:33061 orders-rabbitmq>orders-rabbitmq:25672 clickhouse>clickhouse:9009
"""
_CALLS = _CALLED.split()
_OUTSIDE = (
    ("uploader", "52.218.1.10", 443), ("transcoder", "52.218.1.10", 443), ("catalog", "52.94.5.20", 443),
    ("card-gateway", "93.184.216.34", 443), ("email", "203.0.114.25", 587), ("sms", "151.101.1.140", 443),
    ("trainer", "52.218.1.10", 443), ("cert-manager", "172.65.32.248", 443), ("ledger", "52.94.5.20", 443),
)  # fmt: skip
_DENIED = {
    ("reports", "clickhouse"): ("denied", "NetworkPolicy analytics/clickhouse ingress isolation"),
    ("dashboards", "payments-postgresql"): ("denied", "NetworkPolicy payments/payments-postgresql ingress isolation"),
    ("checkout", "fraud-check"): ("would_deny", "NetworkPolicy checkout/fraud-check ingress isolation"),
}
"""Policies that decide at the server's end."""


class City:
    """Who is where; `calls` are pairs of pods with a port."""

    def __init__(self) -> None:
        self.dice = random.Random(11)
        self.pods: dict[str, list[tuple[str, str, str, str]]] = {}  # workload -> (uid, pod, ip, node)
        self.namespace: dict[str, str] = {}
        self.kind: dict[str, str] = {}
        n = 0
        for namespace, workloads in _SIZES.items():
            for word, count in workloads.items():
                name, _, letter = word.partition("/")
                self.namespace[name] = namespace
                self.kind[name] = {"S": "StatefulSet", "D": "DaemonSet", "C": "Job"}.get(letter, "Deployment")
                places = []
                for i in range(count):
                    node = NODES[i] if letter == "D" else NODES[n * 7 % len(NODES)]
                    pod = f"{name}-{i}" if letter == "S" else f"{name}-6f9d-{n:03d}"
                    places.append((f"uid-{pod}", pod, f"10.{100 + NODES.index(node)}.{n // 200}.{n % 200 + 2}", node))
                    n += 1
                self.pods[name] = places

    def manifests(self, folder: Path) -> Path:
        """The cluster's objects; JSON is YAML, and quicker to read."""
        folder.mkdir()
        objects: list[dict[str, Any]] = [_object("v1", "Namespace", None, name) for name in _SIZES]
        for n, name in enumerate(NODES):
            labels = {"topology.kubernetes.io/zone": ZONES[n % 3], "topology.kubernetes.io/region": "eu-west-1"}
            address = {"type": "InternalIP", "address": f"10.0.{n // 4 + 1}.{20 + n}"}
            objects.append(_object("v1", "Node", None, name, labels=labels, status={"addresses": [address]}))
        for n, (name, places) in enumerate(self.pods.items()):
            namespace, kind = self.namespace[name], self.kind[name]
            match = {"matchLabels": {"app": name}}
            spec: dict[str, Any] = {"selector": match, "template": {"metadata": {"labels": {"app": name}}}}
            version = "batch/v1" if kind == "Job" else "apps/v1"
            objects.append(_object(version, kind, namespace, name, uid=f"w-{name}", spec=spec))
            port = next((int(call.rpartition(":")[2]) for call in _CALLS if f">{name}:" in call), 8080)
            service = {
                "clusterIP": f"10.96.{n // 200}.{n % 200 + 20}",
                "selector": {"app": name},
                "ports": [{"port": port}],
            }
            objects.append(_object("v1", "Service", namespace, name, spec=service))
            owner, owner_kind = name, kind
            if kind == "Deployment":
                owner, owner_kind = f"{name}-6f9d", "ReplicaSet"
                objects.append(
                    _object(
                        "apps/v1", owner_kind, namespace, owner, uid=f"rs-{name}", owner=("Deployment", name), spec=spec
                    )
                )
            for uid, pod, ip, node in places:
                objects.append(
                    _object(
                        "v1", "Pod", namespace, pod, uid=uid, labels={"app": name}, owner=(owner_kind, owner),
                        spec={"nodeName": node, "containers": [{"name": "c", "image": "i"}]},
                        status={"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]},
                    )
                )  # fmt: skip
        for name in ("clickhouse", "payments-postgresql", "fraud-check"):
            rule = {"from": [{"podSelector": {"matchLabels": {"app": name}}}]}
            spec = {"podSelector": {"matchLabels": {"app": name}}, "policyTypes": ["Ingress"], "ingress": [rule]}
            objects.append(_object("networking.k8s.io/v1", "NetworkPolicy", self.namespace[name], name, spec=spec))
        (folder / "cluster.yaml").write_text("\n---\n".join(map(json.dumps, objects)))
        return folder

    def _pairs(self) -> Iterator[tuple[str, str, Any, Any, int, int]]:
        """Client workload, server workload (or address), client, server, port, protocol."""
        calls = [(*call.partition(":")[0].split(">"), int(call.rpartition(":")[2])) for call in _CALLS]
        calls += [("dashboards", "payments-postgresql", 5432)]
        calls += [("prometheus", name, 9100) for name in self.pods if name not in ("prometheus", "kube-state")]
        for client, server, port in calls:
            for one in self.pods[client]:
                others = [pod for pod in self.pods[server] if pod != one]
                for other in self.dice.sample(others, min(4, len(others))):
                    yield client, server, one, other, port, 6
        for name, places in self.pods.items():
            for one in places:
                for other in self.dice.sample(self.pods["coredns"], 2):
                    if name != "coredns":
                        yield name, "coredns", one, other, 53, 17
        for name, address, port in _OUTSIDE:
            for one in self.pods[name]:
                yield name, address, one, None, port, 6

    def records(self, at: int) -> dict[str, list[dict[str, Any]]]:
        """What each node's agent has to tell of the window that begins at `at`."""
        rows: dict[str, list[dict[str, Any]]] = {node: [] for node in NODES}
        services = {name: f"10.96.{n // 200}.{n % 200 + 20}" for n, name in enumerate(self.pods)}
        for client, server, one, other, port, protocol in self._pairs():
            connections = 1 + int(self.dice.lognormvariate(1.5, 1))
            there = int(self.dice.lognormvariate(9, 2)) + 60 * connections
            back = int(self.dice.lognormvariate(11, 2)) + 60 * connections
            verdict, by = _DENIED.get((client, server), (None, None))
            if verdict == "denied":
                there, back = 60 * connections, 0
            values: dict[str, Any] = {
                "protocol": protocol, "dst_port": port, "connections": connections,
                "connections_established": 0 if verdict == "denied" else connections,
                "bytes_forward": there, "bytes_reverse": back, "packets_forward": there // 800 + 1,
                "packets_reverse": back // 1100 + (1 if back else 0), "segments_forward": there // 800 + 1,
                "segments_reverse": back // 1100 + (1 if back else 0),
                "src_ip": ip_bytes(one[2]), "dst_ip": ip_bytes(other[2] if other else server),
            }  # fmt: skip
            mine = values | self._health(one[3], client, protocol) | {"pod_uid": one[0], "node": one[3]}
            if other and server in services and client != "prometheus":
                mine |= {"service_ip": ip_bytes(services[server]), "service_port": port}
            if not other:
                mine["dst_dns_name"] = {"52.218.1.10": "shop-media.s3.eu-west-1.amazonaws.com"}.get(server)
            rows[one[3]].append(record(at=at, **mine))
            if other:
                theirs = values | self._health(other[3], server, protocol) | {"pod_uid": other[0], "node": other[3]}
                if verdict:
                    theirs |= {"policy_allowed": 0, "policy_denied": 0, "policy_would_deny": 0, "denied_by": by}
                    theirs["policy_denied" if verdict == "denied" else "policy_would_deny"] = connections * 2
                rows[other[3]].append(record(at=at, **theirs, reporter="server"))
        return rows

    def _health(self, node: str, name: str, protocol: int) -> dict[str, Any]:
        found: dict[str, Any] = {} if node == NO_DROPS else {"drops": 3 if name == "transcoder" else 0}
        if protocol != 6 or node == NO_SOCK:
            return found
        slow = 9 if name in ("transcoder", "clickhouse", "sessions-etl") else 4
        samples = [0] * BUCKETS
        for _ in range(4):
            samples[min(BUCKETS - 1, max(0, int(self.dice.gauss(slow, 1.2))))] += 1
        again = int(self.dice.expovariate(0.25)) if slow == 9 else 0
        zero = ("connection_failures", "resets", "connection_timeouts", "retransmits_syn", "retransmits_closing",
                "rtos_syn", "rtos_closing")  # fmt: skip
        return found | dict.fromkeys(zero, 0) | {
            "connection_attempts": 3, "retransmits_established": again, "rtos_established": again // 4,
            "connect_sum_us": 3 * (60 << slow), "connect_count": 3, "rtt_min_us": 30 << (slow - 2),
            "rtt_sum_us": 4 * (32 << slow), "rtt_count": 4,
        } | {f"rtt_bucket_{i:02d}": n for i, n in enumerate(samples)}  # fmt: skip

    def tell(self, server: RunningServer, at: int, seq: int, silent: str = "") -> int:
        """Send one window of every node but `silent`; how many records that were."""
        sent = 0
        for node, rows in self.records(at).items():
            if node == silent:
                continue
            answer = server.client(node).post(
                batch(seq, rows, node=node, hooks=_hooks(node), books=self._books(node, rows))
            )
            assert answer.outcome is Outcome.ACKNOWLEDGED, answer
            sent += len(rows)
        return sent

    def _books(self, node: str, rows: list[dict[str, Any]]) -> tuple[Books, ...]:
        """Each pod's interface: everything recorded, but on the last node, whose flow map was full for a moment."""
        books = []
        for places in self.pods.values():
            for uid, pod, _, home in places:
                if home != node:
                    continue
                own = [row for row in rows if row["pod_uid"] == uid]
                amount = Amount(
                    sum(r["bytes_forward"] + r["bytes_reverse"] for r in own),
                    sum(r["packets_forward"] + r["packets_reverse"] for r in own),
                )
                short = Amount(40_000, 50) if node == NODES[-1] and pod.startswith("node-logs") else Amount(0, 0)
                asked = {} if node == NO_DNS else {"dns_NOERROR": 40, "dns_NXDOMAIN": 9 if pod.startswith("sms") else 0}
                hook = Amount(amount.bytes + short.bytes, amount.packets + short.packets)
                books.append(
                    Books(uid, f"veth{len(books)}", hook, amount, {"map_full": short} if short.bytes else {}, asked)
                )
        return tuple(books)


def _hooks(node: str) -> tuple[HookStatus, ...]:
    refused = "the kernel has no BTF (/sys/kernel/btf/vmlinux)"
    return (
        HookStatus("tcx", "on"),
        HookStatus("sock_ops", "refused", "EPERM: attaching to the cgroup needs CAP_NET_ADMIN") if node == NO_SOCK
        else HookStatus("sock_ops", "on"),
        HookStatus("drops", "refused", refused) if node == NO_DROPS else HookStatus("drops", "on"),
        HookStatus("dns", "off", "started with --hooks sock,drops") if node == NO_DNS else HookStatus("dns", "on"),
    )  # fmt: skip


def _object(
    version: str, kind: str, namespace: str | None, name: str, *, uid: str = "", labels: dict[str, str] | None = None,
    owner: tuple[str, str] | None = None, **body: Any,
) -> dict[str, Any]:  # fmt: skip
    metadata: dict[str, Any] = {"name": name} | ({"namespace": namespace} if namespace else {})
    metadata |= ({"uid": uid} if uid else {}) | ({"labels": labels} if labels else {})
    if owner:
        owner_uid = {"Deployment": "w-", "ReplicaSet": "rs-"}.get(owner[0], "w-") + owner[1].removesuffix("-6f9d")
        metadata["ownerReferences"] = [{"kind": owner[0], "name": owner[1], "uid": owner_uid, "controller": True}]
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **body}


def build(server: RunningServer, city: City, windows: int, spread_s: int) -> int:
    """`windows` windows over the last `spread_s` seconds; how many records that were."""
    now = time.time_ns() // SECOND * SECOND
    step = spread_s // windows
    return sum(city.tell(server, now - (windows - i) * step * SECOND, i) for i in range(windows))
