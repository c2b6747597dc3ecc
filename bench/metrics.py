"""What a scrape costs: prints a table and writes bench-results/metrics.json. No root, no kernel.

    .venv/bin/python bench/metrics.py

An agent with 110 pods, every hook on and the reference's names too; a server at its limit of pairs. Processor time of the
publishing process alone; the scraper is another one. Exit code 1 when a figure is past its limit.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
# The tests' windows are used; this folder leaves the path, or its files would hide packages of the tests.
sys.path[0:1] = [str(ROOT / "tests"), str(ROOT)]

PODS, PAIRS, ROUNDS = 110, 2_000, 15
HOOKS = ("sock_ops", "dns", "drops", "policy-ingress")
SCRAPER = """
import http.client, sys
host, port, times = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3"
for _ in range(times):
    connection = http.client.HTTPConnection(host, port, timeout=60)
    connection.request("GET", "/metrics", headers={"Accept": accept, "Accept-Encoding": "gzip"})
    answer = connection.getresponse()
    assert answer.status == 200 and answer.getheader("Content-Encoding") == "gzip"
    answer.read()
    connection.close()
"""


def agent() -> tuple[Any, Callable[[int], None]]:
    """An agent's metrics, and what closes its next window: every family of every pod has values."""
    import numpy as np

    from agent.metrics.factories_metrics import TCP, Traffic, make_metrics, tick
    from eastwest.agent.metrics import families as m
    from eastwest.model.batch import HookStatus

    metrics = make_metrics(reference_names=True)
    uids = [f"6c1e3d3a-0000-4000-8000-{i:012d}" for i in range(PODS)]
    pods = [Traffic(uid, 10**9, 10**9, opened=3, lost=1) for uid in uids]
    hooks = [HookStatus(name, "on") for name in HOOKS]
    words = {
        m.DNS_ERRORS: (("NXDOMAIN",), ("SERVFAIL",), ("no_answer",)),
        m.DROPS: (("no_socket",), ("netfilter_drop",), ("tcp_overwindow",)),
        m.POLICY_PACKETS: tuple((verdict,) for verdict in m.VERDICTS),
    }

    def window(i: int) -> None:
        rows = metrics.pods.rows(uids, 1_000.0)
        ones = np.ones(PODS, np.uint64)
        metrics.pods.add(m.DNS_REQUESTS, rows, ones)
        buckets = np.ones((PODS, len(m.DNS_LATENCY.bounds) + 1), np.int64)
        metrics.pods.observe(m.DNS_LATENCY, rows, buckets, np.full(PODS, 0.1))
        for family, kinds in words.items():
            for kind in kinds:
                metrics.pods.add(family, rows, ones, kind)
        tick(metrics, 4 * i, *pods, hooks=hooks, tcp=dict.fromkeys(TCP, 2))

    return metrics, window


def server() -> Any:
    """A server's pair counters with every series that its limit allows."""
    from eastwest.collector.prices import shipped
    from eastwest.query.metrics.traffic import TrafficMetrics
    from store.factories_flows import pod, record, table

    traffic = TrafficMetrics(limit=PAIRS, prices=shipped(), clock=lambda: 1_000.0)
    rows = [
        record(pod("src", "shop", f"w{i % 50}", ip="10.0.0.1"), pod("dst", "bank", f"v{i // 50}", ip="10.0.1.1"))
        for i in range(PAIRS + 100)
    ]
    traffic.take(table(*rows), [])
    return traffic


def scrape_ms(render: Callable[[Any], bytes], before: Callable[[int], None], times: int) -> tuple[float, float]:
    """Median CPU ms of the publishing process per scrape, and of one scrape more in the same window."""
    from eastwest.agent.metrics.exporter import Exporter

    exporter = Exporter("127.0.0.1:0", render)
    exporter.start()
    first, again = [], []
    argv = [sys.executable, "-c", SCRAPER, exporter.address[0], str(exporter.address[1])]
    try:
        for i in range(times):
            before(i)
            for kept, scrapes in ((first, 1), (again, 10)):
                spent = time.process_time()
                subprocess.run([*argv, str(scrapes)], check=True)
                kept.append((time.process_time() - spent) * 1e3 / scrapes)
    finally:
        exporter.stop()
    return sorted(first)[times // 2], sorted(again)[times // 2]


def measure() -> dict[str, dict[str, float]]:
    from eastwest.runtime.openmetrics import Exposition, TextFormat

    metrics, window = agent()
    first, again = scrape_ms(metrics.render, window, ROUNDS)
    body = metrics.render(TextFormat.OPENMETRICS)
    traffic = server()

    def render(text_format: TextFormat) -> bytes:
        out = Exposition(text_format)
        traffic.write(out)
        return out.finish()

    pairs, _ = scrape_ms(render, lambda _: None, 3)
    return {
        "agent": {
            "scrape CPU ms": round(first, 2),
            "another scrape in the window": round(again, 2),
            "series": sum(not line.startswith(b"#") for line in body.splitlines()),
            "kB": round(len(body) / 1e3),
        },
        "server": {"scrape CPU ms": round(pairs, 1), "kB": round(len(render(TextFormat.OPENMETRICS)) / 1e3)},
    }


def show(results: dict[str, dict[str, float]]) -> bool:
    """Print the table; True when a limit is broken."""
    from bench.limits import judged

    titles = {"agent": f"an agent with {PODS} pods, every hook on", "server": f"a server with {PAIRS:,} pairs"}
    broken = False
    for part, title in titles.items():
        print(f"\n{title}")
        for name, value in results[part].items():
            past, note = judged("metrics", part, name, value)
            broken |= past
            print(f"  {name:<34} {value:>10}{note}")
    return broken


def main() -> int:
    results = measure()
    target = ROOT / "bench-results" / "metrics.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(results, indent=2) + "\n")
    bad = show(results)
    print(f"\nwritten: {target.relative_to(ROOT)}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
