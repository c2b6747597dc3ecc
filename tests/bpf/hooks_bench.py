"""What the sock, drop and dns hooks cost: `python tests/bpf/hooks_bench.py` as root, on a quiet machine.

Nanoseconds per program run come from the kernel's own statistics (BPF_ENABLE_STATS), less what an empty program shows.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "src")]

from agent.factories_dns import query  # noqa: E402
from bpf.factories_net import Actor, cgroup, join_by_veth, namespaces  # noqa: E402
from bpf.packets import ACK, TCP, UDP, ip, tcp, udp  # noqa: E402
from eastwest.agent import bpf  # noqa: E402
from eastwest.agent.dns.hook import FROM_POD, DnsHook  # noqa: E402
from eastwest.agent.drop.hook import DropHook  # noqa: E402
from eastwest.agent.sock.hook import SockHook  # noqa: E402

CONNECTIONS = 4000
ENABLE_STATS, TEST_RUN = 32, 10


def runs(name: str) -> tuple[int, int]:
    """(runs, nanoseconds) of the newest program of that name."""
    shown = json.loads(subprocess.run(["bpftool", "-j", "prog", "show"], capture_output=True, check=True).stdout)
    newest = max((p for p in shown if p.get("name") == name), key=lambda p: p["id"])
    return newest.get("run_cnt", 0), newest.get("run_time_ns", 0)


@contextmanager
def statistics() -> Iterator[None]:
    fd = bpf.call(ENABLE_STATS, struct.pack("<I", 0))
    try:
        yield
    finally:
        os.close(fd)


def connect_many(client: Actor, server: Actor, n: int) -> float:
    """Connections per second, one after another, a request and an answer each."""
    server.do(f"""
def serve():
    for _ in range({n}):
        s, _ = server.accept(); s.recv(100); s.sendall(b"y"); s.close()
t = threading.Thread(target=serve); t.start()
""")
    started = time.monotonic()
    client.do(f"""
for _ in range({n}):
    s = socket.create_connection(("10.77.0.2", 8080)); s.sendall(b"x"); s.recv(1); s.recv(1); s.close()
""")
    server.do("t.join()")
    return n / (time.monotonic() - started)


def bench_sock(client: Actor, server: Actor, group: Path) -> None:
    hook = SockHook(group)
    try:
        with statistics():
            rate = connect_many(client, server, CONNECTIONS)
            count, spent = runs("sock_ops")
        print(f"sock_ops: {count / CONNECTIONS:.1f} runs and {spent / CONNECTIONS:.0f} ns per connection (both ends), "
              f"{spent / count:.0f} ns per run gross, at {rate:.0f} connections/s")  # fmt: skip
        started = time.process_time()
        got = hook.collect()
        print(f"ledger: {(time.process_time() - started) * 1e6 / max(got.size, 1):.2f} us per closed connection")
        client.do("kept = []")
        server.do("kept = []")
        n = 500
        for _ in range(n):
            client.do('kept.append(socket.create_connection(("10.77.0.2", 8080)))')
            server.do("kept.append(server.accept()[0])")
        for label in ("all changed", "none changed"):
            with statistics():
                before = runs("sock_live")
                started = time.perf_counter()
                hook.collect()
                wall = time.perf_counter() - started
                count, spent = (now - then for now, then in zip(runs("sock_live"), before, strict=True))
            print(
                f"live sockets, {label}: {spent / max(count, 1):.0f} ns per socket gross, {wall * 1e3:.2f} ms for {count}"
            )
    finally:
        hook.close()


def bench_adopt(group: Path, netns: str) -> None:
    hook = SockHook(group)
    fd = os.open(f"/run/netns/{netns}", os.O_RDONLY)
    try:
        started = time.perf_counter()
        for _ in range(20):
            hook.adopt(fd)
        print(f"adopt: {(time.perf_counter() - started) / 20 * 1e3:.2f} ms per namespace")
    finally:
        os.close(fd)
        hook.close()


def measure(program: int, packet: bytes, repeat: int) -> int:
    """ns per run, by the kernel."""
    data = np.frombuffer(packet, np.uint8).copy()
    out = np.zeros(2048, np.uint8)
    attr = np.zeros(128, np.uint8)
    struct.pack_into(
        "<IIIIQQII", attr.data, 0, program, 0, len(data), len(out), data.ctypes.data, out.ctypes.data, repeat, 0
    )
    bpf.call_in_place(TEST_RUN, attr)
    return int(attr[36:40].view("<u4")[0])


def bench_dns() -> None:
    hook = DnsHook(ring_bytes=1 << 26)
    try:
        other = ip("10.0.0.1", "10.0.0.2", TCP, tcp(40000, 80, ACK, payload=b"x" * 64))
        question = ip("10.0.0.1", "10.0.0.2", UDP, udp(40000, 53, query()))
        for label, packet, repeat in (("other TCP", other, 300_000), ("a query", question, 20_000)):
            best = min(measure(hook.programs[FROM_POD], packet, repeat) for _ in range(5))
            print(f"dns, {label}: {best} ns per run (test run)")
            list(hook.sightings())
    finally:
        hook.close()


def bench_drop(client: Actor, server_ns: str) -> None:
    hook = DropHook()
    try:
        for label, watched in (("not ours", []), ("counted", [Path(f"/run/netns/{server_ns}").stat().st_ino])):
            hook.watch(watched)
            with statistics():
                before = runs("drop_kfree_skb")
                client.do("""
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("10.77.0.1", 5000))
for _ in range(20000): u.sendto(b"x", ("10.77.0.2", 7000))
u.close()
""")
                count, spent = (now - then for now, then in zip(runs("drop_kfree_skb"), before, strict=True))
            print(f"kfree_skb, {label}: {spent / count:.0f} ns per run gross, {count} runs")
    finally:
        hook.close()


def main() -> None:
    with cgroup("bench") as group, namespaces("bc", "bs") as (client_ns, server_ns):
        join_by_veth(client_ns, server_ns)
        client, server = Actor(client_ns, group), Actor(server_ns, group)
        try:
            server.do('import threading\nserver = socket.create_server(("", 8080), backlog=1024)')
            bench_sock(client, server, group)
            bench_adopt(group, client_ns)
            bench_drop(client, server_ns)
            bench_dns()
        finally:
            client.close()
            server.close()


if __name__ == "__main__":
    main()
