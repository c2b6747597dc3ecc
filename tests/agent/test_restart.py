"""An agent that is killed, restarted or replaced: every packet meanwhile is in the books, once."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import eastwest
from agent.netlab import CALL, TRACK, Node, Pod, bpffs, wait_for
from agent.receiver import Receiver, agent
from eastwest.model.batch import Amount

pytestmark = pytest.mark.root

STREAM = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(({host!r}, {port}))
print("up", flush=True)
sent = 0
s.setblocking(False)
import select, threading
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
while not stop.is_set():
    s.send(b"x" * 100); sent += 1
    time.sleep(0.001)
print(sent, flush=True)
"""


class Stream:
    """Questions of 128 L3 bytes without a pause, one way counted by the sender."""

    def __init__(self, client: Pod, host: str, port: int) -> None:
        self._process = client.python(
            STREAM.format(host=host, port=port), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"up\n"

    def end(self) -> int:
        out, _ = self._process.communicate(b"stop\n", timeout=20)
        return int(out)


@pytest.fixture
def pins() -> Iterator[Path]:
    with bpffs() as folder:
        yield folder / "eastwest"


def packets(r: Receiver, a: Pod, b: Pod) -> dict[str, int]:
    """Forward packets of the stream as each end reports them."""
    return {k[0]: v["packets_forward"] for k, v in r.edges().items() if k[1:4] == (a.ipv4, b.ipv4, 9000)}


def assert_windows_follow(r: Receiver) -> None:
    spans = [(h.window_start_ns, h.window_end_ns) for h, _ in r.batches]
    assert all(x[1] == y[0] for x, y in itertools.pairwise(spans))


def link_bytes(net: Node, pod: Pod, before: tuple[int, int]) -> int:
    size, count = (x - y for x, y in zip(net.link_counters(pod), before, strict=True))
    return size - 14 * count


@pytest.mark.parametrize("how", ["kill -9", "restart"])
def test_nothing_is_missed_while_the_agent_is_away(
    net: Node, server: Receiver, tmp_path: Path, pins: Path, how: str
) -> None:
    a, b = net.pod("a"), net.pod("b")
    b.server(9000, kind="udp")
    spool = ("--spool", str(tmp_path / "spool")) if how == "kill -9" else ()
    before = {}
    for life in range(3):
        with agent(net, server, tmp_path, "--pin", str(pins), *spool, tick_s=0.1) as running:
            assert ("taken over" in running.words()) == bool(life)
            if not life:
                server.wait(lambda r: bool(r.batches) and len(r.batches[-1][0].books) == 2, "both pods are known")
                before = {p.name: net.link_counters(p) for p in (a, b)}
                stream = Stream(a, b.ipv4, 9000)
            seen = len(server.batches)
            server.wait(lambda r, seen=seen: len(r.batches) > seen + 2, "windows")  # type: ignore[misc]
            if life == 2:
                sent = stream.end()
                counted = {p.name: link_bytes(net, p, before[p.name]) for p in (a, b)}
            if how == "kill -9" and life < 2:
                running.kill()
            else:
                running.stop()
    server.assert_books_closed()
    assert_windows_follow(server)
    assert all(h.shipping_lost == {} and all(not x.lost for x in h.books) for h, _ in server.batches)
    assert packets(server, a, b) == {"client": sent, "server": sent}
    for pod in (a, b):
        server.assert_hook_counted(pod.veth, counted[pod.name])
    assert {k[7] for k in server.edges()} == {a.uid, b.uid}
    assert {r["role_source"] for r in server.records if r["dst_port"] == 9000} == {"listener", "first_packet"}


def test_a_pod_that_ends_while_the_agent_is_away(net: Node, server: Receiver, tmp_path: Path, pins: Path) -> None:
    a, b = net.pod("a"), net.pod("b")
    b.server(8080)
    with agent(net, server, tmp_path, "--pin", str(pins), tick_s=0.1) as running:
        server.wait(lambda r: bool(r.batches) and len(r.batches[-1][0].books) == 2, "both pods are known")
        running.kill()
    a.run(CALL.format(host=b.ipv4, port=8080, size=5000))
    net.kill(a)
    late = net.pod("late")
    late.run(CALL.format(host=b.ipv4, port=8080, size=300))
    with agent(net, server, tmp_path, "--pin", str(pins), tick_s=0.1) as running:
        server.wait(lambda r: any(k[7] == a.uid for k in r.edges()), "the dead pod's last words")
        server.wait(lambda r: late.veth in {x.interface for x in r.batches[-1][0].books}, "the new pod")
        server.wait(lambda r: a.veth not in {x.interface for x in r.batches[-1][0].books}, "the old one is let go")
        running.stop()
    server.assert_books_closed()
    ends = {(k[0], k[7]): v for k, v in server.edges().items() if k[1] == a.ipv4}
    assert set(ends) == {("client", a.uid), ("server", b.uid)}
    assert {v["bytes_forward"] for v in ends.values()} == {ends["client", a.uid]["bytes_forward"]}
    assert ends["client", a.uid]["bytes_forward"] > 5000


def rebuilt(folder: Path) -> Path:
    """Another build of eastwest: its programs have another tag, for the time it counts is one nanosecond off."""
    source = folder / "src"
    shutil.copytree(Path(eastwest.__file__).parent, source / "eastwest")
    bpf = folder / "bpf"
    shutil.copytree(Path(__file__).parents[2] / "bpf", bpf)
    code = bpf / "flow" / "flow.bpf.c"
    text = code.read_text()
    changed = text.replace("p.now_ns = bpf_ktime_get_coarse_ns();", "p.now_ns = bpf_ktime_get_coarse_ns() + 1;")
    assert changed != text
    code.write_text(changed)
    out = source / "eastwest" / "agent" / "objects"
    subprocess.run(["make", "-s", "-B", "-C", str(bpf), f"OUT={out}", f"{out}/flow_conntrack.bpf.o"], check=True)
    return source


def test_a_pod_that_came_and_went_since_the_last_window_keeps_its_name(
    net: Node, server: Receiver, tmp_path: Path, pins: Path
) -> None:
    """Killed before its first window; the clock is set by an hour before the next agent: one window, as long as it lasted."""
    b = net.pod("b")
    b.server(8080)
    late = "import sys, time; real = time.time_ns; time.time_ns = lambda: real() + 3600 * 10**9\n"
    main = "from eastwest.cli.main import main; sys.exit(main(sys.argv[1:]))"
    began = time.monotonic_ns()
    with agent(net, server, tmp_path, "--pin", str(pins), tick_s=0.1) as running:
        server.wait(lambda r: bool(r.batches), "windows")
        running.kill()
    with agent(net, server, tmp_path, "--pin", str(pins), tick_s=3600) as running:
        a = net.pod("a")
        wait_for(lambda: a.uid in running.words(), "the pod is known", 30)
        a.run(CALL.format(host=b.ipv4, port=8080, size=5000))
        net.kill(a)
        running.kill()
    with agent(net, server, tmp_path, "--pin", str(pins), tick_s=0.1, command=("-c", late + main)) as running:
        server.wait(lambda r: any(k[7] == a.uid for k in r.edges()), "the dead pod's words under its name")
        running.stop()
    server.assert_books_closed()
    assert {(k[0], k[7]) for k in server.edges() if k[1] == a.ipv4} == {("client", a.uid), ("server", b.uid)}
    lengths = [h.window_end_ns - h.window_start_ns for h, _ in server.batches]
    assert min(lengths) > 0
    assert max(lengths) < time.monotonic_ns() - began


def tags(pins: Path) -> set[str]:
    """Of the programs on the pods' interfaces."""

    def show(*words: str) -> dict[str, str]:
        found: dict[str, str] = json.loads(subprocess.check_output(["bpftool", "-j", *words]))
        return found

    links = [show("link", "show", "pinned", str(path)) for path in pins.glob("link_[0-9]*")]
    return {show("prog", "show", "id", str(link["prog_id"]))["tag"] for link in links}


@pytest.mark.parametrize("flows", ["65536", "4096"])
def test_an_upgrade_swaps_programs_and_map_sizes_without_a_gap(
    net: Node, server: Receiver, tmp_path: Path, pins: Path, flows: str
) -> None:
    net.nft(TRACK)  # else who opened a stream that a new map sees in its middle is whoever spoke next
    a, b = net.pod("a"), net.pod("b")
    b.server(9000, kind="udp")
    source = rebuilt(tmp_path)
    with agent(net, server, tmp_path, "--pin", str(pins), tick_s=0.1) as running:
        server.wait(lambda r: bool(r.batches) and len(r.batches[-1][0].books) == 2, "both pods are known")
        stream = Stream(a, b.ipv4, 9000)
        server.wait(lambda r: bool(packets(r, a, b)), "the stream")
        old = tags(pins)
        running.stop()
        assert "counting goes on" in running.words()
    options = ("--pin", str(pins), "--flow-map-size", flows)
    with agent(net, server, tmp_path, *options, tick_s=0.1, source=source) as running:
        assert "2 interfaces are taken over" in running.words()
        assert len(tags(pins)) == len(old) == 2
        assert not tags(pins) & old
        seen = len(server.batches)
        server.wait(lambda r: len(r.batches) > seen + 2, "windows")
        sent = stream.end()
        running.stop()
    server.assert_books_closed()
    assert_windows_follow(server)
    assert packets(server, a, b) == {"client": sent, "server": sent}


def test_release_says_what_it_removes(net: Node, server: Receiver, tmp_path: Path, pins: Path) -> None:
    a = net.pod("a")
    release = (
        "ip",
        "netns",
        "exec",
        net.netns,
        sys.executable,
        "-m",
        "eastwest",
        "agent",
        "--release",
        "--pin",
        str(pins),
    )
    with agent(net, server, tmp_path, "--pin", str(pins), tick_s=0.1) as running:
        server.wait(lambda r: bool(r.batches) and bool(r.batches[-1][0].books), "the pod is known")
        busy = subprocess.run(release, capture_output=True, text=True, check=False)
        assert busy.returncode == 1
        assert "in use by another agent" in busy.stderr
        running.stop()
    index = net.exec("cat", f"/sys/class/net/{a.veth}/ifindex").strip()
    done = subprocess.run(release, capture_output=True, text=True, check=True)
    assert f"removed {pins / f'link_{index}_from_pod'}" in done.stdout
    assert f"removed {pins / 'map_flows'}" in done.stdout
    assert not pins.exists()
    again = subprocess.run(release, capture_output=True, text=True, check=True)
    assert "nothing was left" in again.stdout


def test_windows_in_the_memory_of_a_killed_agent_are_declared(
    net: Node, server: Receiver, tmp_path: Path, pins: Path
) -> None:
    a, b = net.pod("a"), net.pod("b")
    b.server(8080)
    server.status = 503
    with agent(net, server, tmp_path, "--pin", str(pins), tick_s=0.1) as running:
        wait_for(lambda: running.words().count("belongs to pod") == 2, "both are named")
        before = net.link_counters(a)
        a.run(CALL.format(host=b.ipv4, port=8080, size=50_000))
        wait_for(lambda: "will try again" in running.words(), "a window waits")
        time.sleep(0.3)
        running.kill()
    server.status = 204
    with agent(net, server, tmp_path, "--pin", str(pins), tick_s=0.1) as running:
        server.wait(lambda r: any(h.shipping_lost for h, _ in r.batches), "the loss is declared")
        running.stop()
    server.assert_books_closed()
    (lost,) = [h.shipping_lost["agent_ended"] for h, _ in server.batches if h.shipping_lost]
    sent = sum(x.recorded.bytes for h, _ in server.batches for x in h.books)
    assert lost.bytes + sent == pytest.approx(2 * link_bytes(net, a, before), rel=1e-2)
    assert lost.packets > 0
    assert Amount(0, 0) not in [lost]
