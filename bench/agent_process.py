"""The real agent as a process on real packets: memory and CPU at 500 to 100,000 flows a window, and a burst of 100 new pods."""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path

from bench.running import plan_for, running

from agent.netlab import TRACK, Node, node, wait_for
from agent.receiver import receiving
from eastwest.agent.policy.keep import PlanFile

TICK_S = 5.0
SENDER = """
import socket, struct, time
def frame(sport, dst, dport):
    udp = struct.pack("!HHHH", sport, dport, 40, 0) + bytes(32)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 60, 0, 0, 64, 17, 0, bytes({src}), bytes((10, 1, dst >> 8, dst & 255)))
    return b"\\x02\\0\\0\\0\\0\\x99" + b"\\x02\\0\\0\\0\\0\\x01" + b"\\x08\\0" + ip + udp
frames = [frame(20000 + s, d // 10, 80 + d % 10) for d in range({edges}) for s in range({each})]
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("eth0", 0))
print("ready", flush=True)
while True:
    start = time.monotonic()
    for i in range(0, len(frames), 2000):
        for f in frames[i : i + 2000]:
            s.send(f)
        time.sleep(max(0, start + 4.5 * i / len(frames) - time.monotonic()))
    time.sleep(max(0, start + 4.5 - time.monotonic()))
"""


def every_hook(flows: int = 100_000, *, policies: bool) -> dict[str, float]:
    """TCP health, DNS, drops and conntrack, with `policies` also FORWARD and a plan in force; the worst case for drops and for
    policies, because nobody takes these packets and no verdict on them can be kept."""
    return at_flows(flows, without=(), policies=policies)


def at_100k_flows() -> dict[str, float]:
    """Flow hooks alone."""
    return at_flows(100_000, without=("sock", "dns", "drops"), policies=False)


def at_flows(flows: int, without: tuple[str, ...], *, policies: bool, windows: int = 5) -> dict[str, float]:
    """Steady state: every window all UDP flows have a packet; they become at most 1,000 edges."""
    with tempfile.TemporaryDirectory() as name, node() as net, receiving(folder := Path(name)) as server:
        net.nft(TRACK)
        pod = net.pod("a")
        options = ["--flow-map-size", "131072", "--listen", "127.0.0.1:7998"]
        if without:
            options += ["--without", ",".join(without)]
        if policies:
            PlanFile(folder / "state", "n1").save(plan_for(pod))
            options += ["--enforce", "--state", str(folder / "state")]
        url = f"unix:{server.path}"
        with running(net, url, folder, *options, tick_s=TICK_S, every_hook=not without) as agent:
            source = tuple(int(x) for x in pod.ipv4.split("."))
            sender = pod.python(
                SENDER.format(src=source, edges=min(1000, flows), each=max(1, flows // 1000)), stdout=-1
            )
            assert sender.stdout is not None
            assert sender.stdout.readline() == b"ready\n"
            wait_for(lambda: len(server.batches) >= 3, "warm", 60)
            cpu, began, first = agent.cpu_s(), time.monotonic(), len(server.batches)
            wait_for(lambda: len(server.batches) >= first + windows, "measured", 60)
            used, took = agent.cpu_s() - cpu, time.monotonic() - began
            memory, maps = agent.memory_mib(), agent.map_mib()
            rows = [h.records for h, _ in server.batches[first:]]
            packets = [sum(b.hook.packets for b in h.books) for h, _ in server.batches[first:]]
        server.assert_books_closed()
    return {
        "RSS MiB": memory["VmRSS"],
        "peak RSS MiB": memory["VmHWM"],
        "maps MiB": maps,
        "CPU % of a core": round(100 * used / took, 2),
        "edges a window": sum(rows) / len(rows),
        "packets a window": sum(packets) / len(packets),
    }


def burst(pods: int = 100) -> dict[str, float]:
    """Seconds until the last of many pods that appear at once is hooked and named."""
    with tempfile.TemporaryDirectory() as folder, node() as net, receiving(Path(folder)) as server:
        new = [net.pod(f"p{i}", linked=False) for i in range(pods)]
        lines = [
            line
            for p in new
            for line in (f"link add {p.veth} type veth peer name eth0 netns {p.netns}", f"link set {p.veth} up")
        ]
        with running(net, f"unix:{server.path}", Path(folder), tick_s=1.0, every_hook=False) as agent:
            start = time.monotonic()
            _batch(net, lines)
            made = time.monotonic()
            wait_for(lambda: agent.words().count("belongs to pod") >= pods, "all are named", 60)
            done = time.monotonic()
    return {"links made s": round(made - start, 2), "all hooked and named s": round(done - start, 2)}


def _batch(net: Node, lines: list[str]) -> None:
    subprocess.run(["ip", "-n", net.netns, "-batch", "-"], input="\n".join(lines), text=True, check=True)
