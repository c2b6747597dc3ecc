"""Counters over the life of agents: what the kernel kept while none was there is counted by the next one, once.

An agent's counters begin with it (`_created` says so), so whoever adds up increases counts every byte; what the kernel and its
drivers count goes on.
"""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from agent.metrics.factories_metrics import Samples, read, value
from agent.netlab import CALL, Node, bpffs, wait_for
from agent.receiver import Receiver, agent
from deploy.relay import Relay
from eastwest.agent.metrics.families import FAMILIES, OF_THE_KERNEL
from eastwest.runtime.openmetrics import Kind

pytestmark = pytest.mark.root
PORT = 7421
HOOK_BYTES = "eastwest_node_hook_bytes"
TOTALS = {f"{f.name}_total" for f in FAMILIES if f.kind is Kind.COUNTER}
KERNELS = {f"{f.name}_total" for f in OF_THE_KERNEL}


OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def scrape(relay: Relay) -> Samples:
    page = httpx.get(f"http://{relay.address}/metrics", headers={"Accept": OPENMETRICS}, timeout=30, trust_env=False)
    return read(page.content)


def fell(before: Samples, after: Samples, names: set[str]) -> set[str]:
    both = before.keys() & after.keys()
    return {key[0] for key in both if key[0] in names and after[key] < before[key]}


def test_increases_over_killed_agents_are_what_passed(net: Node, server: Receiver, tmp_path: Path) -> None:
    a, b = net.pod("a"), net.pod("b")
    b.server(8080)
    relay = Relay(Path(f"/var/run/netns/{net.netns}"), ("127.0.0.1", PORT))
    call = CALL.format(host=b.ipv4, port=8080, size=5000)
    lives: list[Samples] = []
    with bpffs() as pins:
        options = ("--pin", str(pins / "eastwest"), "--listen", f"127.0.0.1:{PORT}")
        for life in range(3):
            if life:
                a.run(call)  # while no agent is there
            with agent(net, server, tmp_path, *options, tick_s=0.1) as running:
                if not life:
                    server.wait(lambda r: bool(r.batches) and len(r.batches[-1][0].books) == 2, "both pods are known")
                a.run(call)
                calls = 2 * life + 1
                server.wait(lambda r, calls=calls: opened(r) == calls, "every call, also those of nobody's time")  # type: ignore[misc]
                seen = [scrape(relay)]

                def told_and_published(seen: list[Samples] = seen) -> bool:
                    seen.append(scrape(relay))
                    assert not fell(seen[-2], seen[-1], TOTALS)
                    told = sum(book.hook.bytes for header, _ in server.batches for book in header.books)
                    return told == sum(value(s, f"{HOOK_BYTES}_total") or 0 for s in (*lives, seen[-1]))

                wait_for(told_and_published, "the increases over all lives are what the server was told", 60)
                lives.append(seen[-1])
                if life < 2:
                    running.kill()
    relay.close()
    server.assert_books_closed()
    born = [value(s, f"{HOOK_BYTES}_created") for s in lives]
    assert None not in born
    assert born == sorted(set(born)), "each agent's counters begin with it"  # type: ignore[type-var]
    assert not fell(lives[0], lives[1], KERNELS) | fell(lives[1], lives[2], KERNELS), "the kernel's go on"
    assert not any(key[0].removesuffix("_created") + "_total" in KERNELS for key in lives[2] if "_created" in key[0])


def opened(server: Receiver) -> int:
    """Connections as the client's end reports them."""
    return sum(v["connections"] for k, v in server.edges().items() if (k[0], k[3]) == ("client", 8080))
