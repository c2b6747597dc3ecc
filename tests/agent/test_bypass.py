"""What never reaches a hook is named and counted: redirected past it, or the hook was taken away. Real packets."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from agent.netlab import ASK, Node, Pod
from agent.receiver import Receiver, RunningAgent, agent
from eastwest.agent.bypass import ARP_BYTES, ETHERNET_BYTES, BypassMeter, HookCounts
from eastwest.agent.linkcounters import LinkCounts
from eastwest.model.batch import Amount

REDIRECT = """
static int (*redirect_peer)(unsigned ifindex, unsigned long flags) = (void *)155;
__attribute__((section("tc"), used)) int past(void *skb) { return redirect_peer(IFINDEX, 0); }
char licence[] __attribute__((section("license"), used)) = "GPL";
"""
SEND = """
import socket
with socket.socket({family}, socket.SOCK_DGRAM) as s:
    for _ in range({count}):
        s.sendto(b"z" * 100, ({host!r}, {port}))
"""
SINK = """
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.bind(("", 5354)); print("ready", flush=True)
while True:
    s.recv(65536)
"""
COUNT = 300
DATAGRAM = {4: 128, 6: 148}  # 100 bytes behind UDP and IP


def frames(packets: int, size: int = 100) -> LinkCounts:
    return LinkCounts(packets * (size + ETHERNET_BYTES), packets)


def hooked(packets: int, size: int = 100, arp: int = 0) -> HookCounts:
    return HookCounts(packets * size, packets, arp, 0)


def test_what_was_there_before_is_not_told() -> None:
    meter = BypassMeter()
    meter.start(frames(50), hooked(10))
    assert [meter.update(frames(50 + n), hooked(10 + n)) for n in range(3)] == [Amount(0, 0)] * 3


def test_frames_between_two_readings_never_count() -> None:
    """A busy link, read as the recorder reads it: hook then link at the start, link then hook ever after."""
    meter = BypassMeter()
    meter.start(frames(117), hooked(100))
    for n in range(1, 50):
        tail = n * 13 % 40  # what passes between the readings
        assert meter.update(frames(117 + 100 * n), hooked(117 + 100 * n + tail)) == Amount(0, 0)


def test_two_readings_must_agree_and_each_packet_is_told_once() -> None:
    meter = BypassMeter()
    meter.start(frames(0), hooked(0))
    assert meter.update(frames(10), hooked(0)) == Amount(0, 0)
    assert meter.update(frames(20), hooked(0)) == Amount(1000, 10)
    assert meter.update(frames(20), hooked(0)) == Amount(1000, 10)
    assert meter.update(frames(20), hooked(0)) == Amount(0, 0)


def test_a_frame_on_its_way_is_no_bypass() -> None:
    meter = BypassMeter()
    meter.start(frames(0), hooked(0))
    for window in range(1, 20):  # the pod has sent one that the hook sees in the next window, now and then
        assert meter.update(frames(window * 10 + window % 2), hooked(window * 10)) == Amount(0, 0)


def test_what_the_hook_counts_and_a_queue_drops_hides_but_never_invents() -> None:
    meter = BypassMeter()
    meter.start(frames(0), hooked(0))
    told = [meter.update(frames(n), hooked(n + (40 if 3 < n < 9 else 0))) for n in range(1, 20)]
    assert told == [Amount(0, 0)] * 19


def test_frames_that_are_in_no_book_are_none_of_it() -> None:
    meter = BypassMeter()
    meter.start(frames(0), hooked(0))
    for n in range(1, 5):
        link = LinkCounts(n * (100 + ARP_BYTES + 2 * ETHERNET_BYTES), 2 * n)
        assert meter.update(link, hooked(n, arp=n)) == Amount(0, 0)


def windows(r: Receiver, more: int) -> None:
    there = len(r.batches)
    r.wait(lambda r: len(r.batches) >= there + more, f"{more} windows")


def ends(net: Node) -> tuple[Pod, Pod]:
    a, b = net.pod("a"), net.pod("b")
    b.server(5353, kind="udp")
    sink = b.python(SINK, stdout=subprocess.PIPE)
    assert sink.stdout is not None
    assert sink.stdout.readline() == b"ready\n"
    a.run(ASK.format(family=2, host=b.ipv4, port=5353, size=10))  # neighbours are known from here on
    return a, b


def hooks_of(running: RunningAgent, ifindex: int) -> list[str]:
    """The ids of the links that this agent, and nobody else, holds on an interface."""
    texts = [file.read_text() for file in Path(f"/proc/{running.process.pid}/fdinfo").iterdir()]
    mine = [t for t in texts if re.search(rf"^ifindex:\s+{ifindex}\b", t, re.MULTILINE)]
    return [found[1] for t in mine if (found := re.search(r"^link_id:\s+(\d+)", t, re.MULTILINE))]


def to(pod: Pod, family: int) -> str:
    """Datagrams that are not answered, as Python."""
    host, af = (pod.ipv4, "socket.AF_INET") if family == 4 else (pod.ipv6, "socket.AF_INET6")
    return SEND.format(count=COUNT, host=host, port=5354, family=af)


@pytest.mark.root
@pytest.mark.parametrize("family", [4, 6])
def test_packets_redirected_past_the_hook_are_counted(net: Node, server: Receiver, tmp_path: Path, family: int) -> None:
    a, b = ends(net)
    send = to(b, family)
    index = net.exec("cat", f"/sys/class/net/{b.veth}/ifindex").strip()
    (tmp_path / "past.c").write_text(REDIRECT.replace("IFINDEX", index))
    compiled = str(tmp_path / "past.o")
    subprocess.run(["clang", "-target", "bpf", "-O2", "-c", str(tmp_path / "past.c"), "-o", compiled], check=True)
    with agent(net, server, tmp_path):
        windows(server, 3)
        a.run(send)  # seen
        windows(server, 3)
        assert server.unseen() == {}
        net.exec("tc", "qdisc", "add", "dev", a.veth, "clsact")
        net.exec(
            *f"tc filter add dev {a.veth} ingress protocol {'ip' if family == 4 else 'ipv6'} bpf da obj {compiled} sec tc".split()
        )
        a.run(send)  # not seen at b
        server.wait(lambda r: b.veth in r.unseen(), "the bypass is told")
        windows(server, 2)
    assert {name: amount.packets for name, amount in server.unseen().items()} == {b.veth: COUNT}
    assert (
        abs(server.unseen()[b.veth].bytes - COUNT * DATAGRAM[family]) < 200
    )  # derived: neighbour discovery has many sizes
    assert [x for header, _ in server.batches for x in header.books if x.unexplained != Amount(0, 0)] == []


@pytest.mark.root
def test_a_hook_that_was_taken_away_is_noticed(net: Node, server: Receiver, tmp_path: Path) -> None:
    a, b = ends(net)
    with agent(net, server, tmp_path) as running:
        windows(server, 3)
        links = hooks_of(running, int(net.exec("cat", f"/sys/class/net/{b.veth}/ifindex")))
        assert len(links) == 2
        for link in links:
            net.exec("bpftool", "link", "detach", "id", str(link))
        a.run(to(b, 4))
        server.wait(lambda r: b.veth in r.unseen(), "the bypass is told")
        windows(server, 2)
    assert server.unseen()[b.veth].packets >= COUNT  # questions and answers, and an ARP perhaps: nobody told it apart
    assert set(server.unseen()) == {b.veth}
