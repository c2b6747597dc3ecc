"""Closed connections that the kernel adds up by edge: nothing lost, nothing twice, and the same as one record each would tell."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from agent.netlab import bpffs, node
from bpf.factories_hooks import SERVICE, Watched
from bpf.factories_net import tcp_counters, wait_for
from eastwest.agent import batchmap
from eastwest.agent.bpffs import PinFolder
from eastwest.agent.handover import Handover
from eastwest.agent.sock.health import Health, add_up, of_edges, of_sums, onto
from eastwest.agent.sock.hook import SockHook
from eastwest.agent.sock.record import SUM, SUM_KEY
from eastwest.model.flow import ip_bytes
from eastwest.model.histogram import BOUNDS_US, bucket_of

pytestmark = pytest.mark.root

MANY_CALLS = """
import socket
for _ in range({n}):
    with socket.create_connection(({host!r}, {port})) as s:
        s.sendall(b"x" * {size}); s.shutdown(socket.SHUT_WR)
        while s.recv(1 << 16): pass
"""
ENDS = """
import errno, socket, struct
s = socket.socket(); assert s.connect_ex(({host!r}, 9)) == errno.ECONNREFUSED; s.close()
s = socket.socket(); s.settimeout(0.2)
try: s.connect(({host!r}, 81)); raise SystemExit("answered")
except TimeoutError: s.close()
s = socket.create_connection(({service!r}, 80))
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)); s.close()
s = socket.create_connection(({host!r}, 8082))
s.setsockopt(socket.IPPROTO_TCP, 18, 300)  # TCP_USER_TIMEOUT
s.sendall(b"x" * 3000)
try: s.recv(1); raise SystemExit("answered")
except TimeoutError: s.close()
"""
LOSS = """table inet loss {{ chain forward {{ type filter hook forward priority 0;
    tcp dport 81 drop;
    ip daddr {server} tcp dport 8082 meta length > 1000 drop;
    meta length > 1000 numgen random mod 100 < 8 drop; }}; }}"""


@contextmanager
def world() -> Iterator[Watched]:
    with node() as n:
        found = Watched(n)
        found.sock.of_pods(found.ifindex)
        try:
            yield found
        finally:
            found.close()


@pytest.fixture
def watched() -> Iterator[Watched]:
    with world() as found:
        yield found


@pytest.fixture(scope="module")
def shared() -> Iterator[Watched]:
    """With a server; for hooks of a test's own."""
    with world() as found:
        found.server.server(8080)
        yield found


@contextmanager
def own_hook(of: Watched, **options: int) -> Iterator[SockHook]:
    hook = SockHook(of.tree, flows=of.kernel.maps["flows"], **options)
    hook.of_pods(of.ifindex)
    try:
        yield hook
    finally:
        hook.close()


def calls(watched: Watched, n: int, host: str = SERVICE, port: int = 80, size: int = 100) -> None:
    watched.client.run(MANY_CALLS.format(n=n, host=host, port=port, size=size))


def all_closed(hook: SockHook) -> None:
    wait_for(hook.counters, lambda c: c["closed_seen"] == c["followed"] > 0, 60)


def attempts(hook: SockHook) -> int:
    return int(hook.added_up["value"]["attempts"].sum())


def kept(hook: SockHook) -> int:
    return len(batchmap.read(hook.loaded.maps["sock_sums"], SUM_KEY, SUM, 1024))


@pytest.mark.parametrize("through", ["service", "pod4", "pod6"])
def test_added_up_on_the_edge_of_their_packets(watched: Watched, through: str) -> None:
    server = watched.server
    server.server(8080, family=6 if through == "pod6" else 4)
    host = {"service": SERVICE, "pod4": server.ipv4, "pod6": server.ipv6}[through]
    calls(watched, 10, host, 80 if through == "service" else 8080)
    all_closed(watched.sock)
    found, health = watched.tick()
    assert watched.sock.counters()["added_up"] == 20
    joined, columns = onto(found, health)
    assert len(joined) == len(found) == 2  # one edge at each end, none added
    client = int(np.flatnonzero(joined.keys["role"] == 1)[0])
    assert columns["connection_attempts"].tolist()[client] == columns["connect_count"].tolist()[client] == 10
    assert columns["rtt_count"].tolist()[client] == 10
    assert 0 < columns["rtt_min_us"][client] <= columns["rtt_sum_us"][client]
    assert columns["connection_attempts"].sum() == 10
    assert joined.sums[client, 6] == 10  # the flow hook's own count of opened connections
    assert columns["connection_failures"].sum() == columns["resets"].sum() == 0
    if through == "service":
        assert bytes(joined.keys["service"][client]) == ip_bytes(SERVICE)


def test_the_same_as_with_a_record_each(watched: Watched) -> None:
    """Two hooks see the same connections, with loss, resets and failures; one adds them up, the other sends them."""
    sending = SockHook(watched.tree)
    try:
        for port in (8080, 8082):
            watched.server.server(port)
        watched.node.nft(LOSS.format(server=watched.server.ipv4))
        calls(watched, 15, size=150_000)
        watched.client.run(ENDS.format(host=watched.server.ipv4, service=SERVICE))
        watched.server.processes[-1].kill()  # its end of the connection that timed out
        for hook in (watched.sock, sending):
            all_closed(hook)
        by_record = of_edges(sending.collect(), watched.ifindex, watched.resolver.resolve)
        _, by_sum = watched.tick()
        assert sending.counters()["added_up"] == 0
    finally:
        sending.close()
    counters = watched.sock.counters()
    assert counters["closed_seen"] - 1 == counters["added_up"], "all but the one that nobody answered"
    one, other = rows(by_record), rows(by_sum)
    assert one == other
    for name in ("connection_attempts", "connection_failures", "resets", "connection_timeouts", "rtt_count"):
        assert sum(row[name] for row in one.values()) > 0, name
    assert sum(row["retransmits_established"] for row in one.values()) > 0


def test_an_answer_that_comes_after_the_close_names_the_edge(watched: Watched) -> None:
    """Before it nobody knows a Service's backend: such a connection is told by itself, when its window ends."""
    watched.server.server(8080)
    watched.node.nft("table inet late { chain forward { type filter hook forward priority 0; tcp sport 8080 drop; }; }")
    code = "import socket; s = socket.socket(); s.settimeout(0.1); s.connect_ex(({!r}, 80)); s.close()"
    watched.client.run(code.format(SERVICE))
    all_closed(watched.sock)
    watched.node.nft("delete table inet late")
    wait_for(lambda: tcp_counters(watched.client.netns)["TcpOutRsts"], lambda n: n > 0, 60)  # the answer came again
    found, health = watched.tick()
    joined, columns = onto(found, health)
    assert len(joined) == len(found) > 0
    (client,) = np.flatnonzero(columns["connection_failures"])
    assert bytes(joined.keys["dst"][client]) == ip_bytes(watched.server.ipv4)
    assert bytes(joined.keys["service"][client]) == ip_bytes(SERVICE)


def rows(health: Health) -> dict[bytes, dict[str, int]]:
    """By edge, without what two programs measure at two moments."""
    names = [n for n in health.columns if n != "connect_sum_us"]
    return {w.tobytes(): {n: int(health.columns[n][i]) for n in names} for i, w in enumerate(health.words)}


def test_nothing_is_lost_while_nobody_reads(shared: Watched) -> None:
    """Far more connections than the ring has room for."""
    with own_hook(shared, ring_bytes=4096) as small:
        calls(shared, 300)
        all_closed(small)
        assert small.collect().size == 0
        assert attempts(small) == 300
        assert {n for n, v in small.counters().items() if v} == {"followed", "closed_seen", "added_up"}


def test_a_full_table_sends_records_instead(shared: Watched) -> None:
    with own_hook(shared, sums=1) as small:
        calls(shared, 10)
        all_closed(small)
        sent = of_edges(small.collect(), shared.ifindex, shared.resolver.resolve)
        counters = small.counters()
        assert (counters["added_up"], counters["sums_full"], counters["lost_records"]) == (10, 10, 0)
        both = add_up([sent, of_sums(small.added_up)])
        assert both.columns["connection_attempts"].sum() == 10
        assert len(both.words) == 2


def test_once_each_while_windows_turn(watched: Watched) -> None:
    """Of connections of all lengths some are told while they live and some added up: each is counted once."""
    n = 600
    watched.server.server(8080)
    process = watched.client.python(f"""
import socket, threading
def talk(k):
    for i in range({n} // 6):
        with socket.create_connection(({SERVICE!r}, 80)) as s:
            for _ in range((i * 7 + k) % 5): s.sendall(b"x"); s.recv(1)
threads = [threading.Thread(target=talk, args=(k,)) for k in range(6)]
for one in threads: one.start()
for one in threads: one.join()
""")
    parts: list[Health] = []
    ended = False
    while not ended:
        ended = process.poll() is not None
        if ended:
            all_closed(watched.sock)
        parts.append(watched.tick()[1])
    assert process.returncode == 0
    columns = add_up(parts).columns
    counters = watched.sock.counters()
    assert counters["closed_seen"] == 2 * n
    assert 0 < counters["added_up"] < 2 * n
    assert columns["connection_attempts"].sum() == columns["connect_count"].sum() == n
    assert columns["resets"].sum() == columns["connection_failures"].sum() == 0
    watched.tick()
    assert kept(watched.sock) == 0, "what was handed over is not kept"


@pytest.mark.parametrize("killed", ["turning", "collected", "stored", "committed"])
def test_a_successor_counts_what_was_not_handed_over_and_only_that(shared: Watched, killed: str) -> None:
    with bpffs() as folder:

        def life(committed: int | None) -> tuple[SockHook, Handover, PinFolder]:
            pins = PinFolder(folder / "eastwest")
            handover = Handover(pins, 7, committed)
            return SockHook(shared.tree, handover=handover, flows=shared.kernel.maps["flows"]), handover, pins

        def end(hook: SockHook, handover: Handover, pins: PinFolder) -> None:
            for part in (hook, handover, pins):
                part.close()

        hook, handover, pins = life(None)
        hook.of_pods(shared.ifindex)
        calls(shared, 10)
        all_closed(hook)
        if killed == "turning":
            hook._adding += 1
            hook._write_windows()
        else:
            hook.collect(1)
            assert attempts(hook) == 10
        if killed in ("stored", "committed"):
            handover.store(1, {"sock_position": hook.position})
        end(hook, handover, pins)
        calls(shared, 5)  # nobody is there
        hook, handover, pins = life(1 if killed == "committed" else 0)
        assert hook.resumed
        all_closed(hook)
        assert hook.collect(2).size == 0
        assert attempts(hook) == (5 if killed == "committed" else 15)
        handover.store(2, {"sock_position": hook.position})
        handover.commit(2)
        hook.commit()
        hook.collect(3)
        assert attempts(hook) == kept(hook) == 0
        end(hook, handover, pins)


def test_buckets_are_those_of_the_histogram(tmp_path: Path) -> None:
    compiler = shutil.which("clang") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here")
    text = (Path(__file__).parents[2] / "bpf/sock/sums.h").read_text()
    body = re.search(r"static __always_inline (__u32 bucket_of.*?\n})", text, re.DOTALL)
    assert body is not None
    source, library = tmp_path / "bucket.c", tmp_path / "bucket.so"
    source.write_text(f"typedef unsigned int __u32;\n#define SOCK_BUCKETS {len(BOUNDS_US) + 1}\n{body[1]}\n")
    subprocess.run([compiler, "-shared", "-fPIC", "-w", "-o", library, source], check=True)
    compiled = ctypes.CDLL(str(library)).bucket_of
    durations = [0, 1, *(b + d for b in BOUNDS_US for d in (-1, 0, 1)), 2**32 - 1]
    assert [compiled(ctypes.c_uint32(d)) for d in durations] == bucket_of(np.array(durations)).tolist()
