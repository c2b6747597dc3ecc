"""The real agent as a process on real packets: memory and CPU at 100,000 flows a window, and a burst of 100 new pods."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

from agent.netlab import Node, node, wait_for
from agent.receiver import RunningAgent, agent, receiving

TICK_S = 5.0
FLOWS = 100_000
SENDER = """
import socket, struct, time
def frame(sport, dst, dport):
    udp = struct.pack("!HHHH", sport, dport, 40, 0) + bytes(32)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 60, 0, 0, 64, 17, 0, bytes({src}), bytes((10, 1, dst >> 8, dst & 255)))
    return b"\\x02\\0\\0\\0\\0\\x99" + b"\\x02\\0\\0\\0\\0\\x01" + b"\\x08\\0" + ip + udp
frames = [frame(20000 + s, d // 10, 80 + d % 10) for d in range(1000) for s in range({flows} // 1000)]
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


def every_hook_at_100k_flows() -> dict[str, float]:
    """The same with TCP health, DNS and drops; the worst case for drops, because nobody takes these packets."""
    return at_100k_flows(without=())


def at_100k_flows(windows: int = 5, without: tuple[str, ...] = ("sock", "dns", "drops")) -> dict[str, float]:
    """Steady state: every window all of 100,000 UDP flows have a packet; they become 1,000 edges."""
    with tempfile.TemporaryDirectory() as folder, node() as net, receiving(Path(folder)) as server:
        pod = net.pod("a")
        options = ["--flow-map-size", "131072", "--listen", "127.0.0.1:7998"]
        if without:
            options += ["--without", ",".join(without)]
        with agent(net, server, Path(folder), *options, tick_s=TICK_S) as running:
            sender = pod.python(SENDER.format(src=tuple(int(x) for x in pod.ipv4.split(".")), flows=FLOWS), stdout=-1)
            assert sender.stdout is not None
            assert sender.stdout.readline() == b"ready\n"
            wait_for(lambda: len(server.batches) >= 3, "warm", 60)
            cpu, began, first = _cpu_s(running), time.monotonic(), len(server.batches)
            wait_for(lambda: len(server.batches) >= first + windows, "measured", 60)
            used, took = _cpu_s(running) - cpu, time.monotonic() - began
            memory, maps = _memory_kib(running), _map_bytes(running)
            rows = [h.records for h, _ in server.batches[first:]]
            packets = [sum(b.hook.packets for b in h.books) for h, _ in server.batches[first:]]
            running.stop()
        server.assert_books_closed()
    return {
        "RSS MiB": round(memory["VmRSS"] / 1024, 1),
        "peak RSS MiB": round(memory["VmHWM"] / 1024, 1),
        "maps MiB": round(maps / 2**20, 1),
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
        with agent(net, server, Path(folder), tick_s=1.0) as running:
            start = time.monotonic()
            _batch(net, lines)
            made = time.monotonic()
            wait_for(lambda: running.words().count("belongs to pod") >= pods, "all are named", 60)
            done = time.monotonic()
            running.stop()
    return {"links made s": round(made - start, 2), "all hooked and named s": round(done - start, 2)}


def _batch(net: Node, lines: list[str]) -> None:
    subprocess.run(["ip", "-n", net.netns, "-batch", "-"], input="\n".join(lines), text=True, check=True)


def _agent_pid(running: RunningAgent) -> int:
    return running.process.pid  # ip netns exec becomes the agent


def _cpu_s(running: RunningAgent) -> float:
    fields = Path(f"/proc/{_agent_pid(running)}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_kib(running: RunningAgent) -> dict[str, int]:
    lines = Path(f"/proc/{_agent_pid(running)}/status").read_text().splitlines()
    pairs = (line.split(":") for line in lines if line.startswith(("VmRSS", "VmHWM")))
    return {name: int(value.split()[0]) for name, value in pairs}


def _map_bytes(running: RunningAgent) -> int:
    """What the kernel charges for the maps that the agent holds, each once."""
    found: dict[str, int] = {}
    for file in Path(f"/proc/{_agent_pid(running)}/fdinfo").iterdir():
        fields = dict(line.split(":", 1) for line in file.read_text().splitlines() if ":" in line)
        if "map_id" in fields:
            found[fields["map_id"].strip()] = int(fields["memlock"])
    return sum(found.values())
