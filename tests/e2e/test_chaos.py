"""Agents killed, interfaces flapping, pods churning, clocks set: whatever is told afterwards closes, and nobody is forgotten.

The agents pin what they count and spool what they send, so a kill -9 loses nothing: no pod that an agent had found is missing.

`make test` runs a fixed sample (printed); `make soak` runs EASTWEST_CHAOS_PODS=500 with a seed of its own.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.netlab import ASK, Node, Pod, bpffs, ip, node, wait_for
from agent.receiver import Receiver, RunningAgent, agent, receiving
from eastwest.model.batch import Amount

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]
PODS = int(os.environ.get("EASTWEST_CHAOS_PODS", "60"))
SEED = int(os.environ.get("EASTWEST_CHAOS_SEED", "20261122"))
TICK_S, PORT = 0.3, 5353
STEPS_S = (3600, -3600, 90, -7, 86_400, -86_400)

CLOCK = """
import sys, time
real = time.time_ns
def now():
    with open({offset!r}) as file:
        return real() + int(file.read() or 0)
time.time_ns = now
from eastwest.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
TALK = """
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(0.2)
while True:
    try:
        s.sendto(b"t" * 200, ({host!r}, {port})); s.recv(65536)
    except OSError:
        pass
    time.sleep(0.005)
"""


class Chaos:
    """One run: what was done to whom, in order."""

    def __init__(self, net: Node, seen: Receiver, folder: Path, pins: Path) -> None:
        self.net, self.seen, self.folder, self.pins = net, seen, folder, pins
        self.chance = random.Random(SEED)
        self.offset = folder / "offset"
        self.offset.write_text("0")
        self.server = net.pod("server")
        self.server.server(PORT, kind="udp")
        self.talkers = [net.pod(f"t{n}") for n in range(2)]
        for pod in self.talkers:
            pod.python(TALK.format(host=self.server.ipv4, port=PORT))
        self.churned: list[Pod] = []
        self.kills = self.flaps = self.steps = 0
        self._stack = contextlib.ExitStack()
        self.agent = self._start()

    def _start(self) -> RunningAgent:
        options = ["--without", "sock,drops,dns", "--pin", str(self.pins), "--spool", str(self.folder / "spool")]
        command = ("-c", CLOCK.format(offset=str(self.offset)))
        return self._stack.enter_context(
            agent(self.net, self.seen, self.folder, *options, tick_s=TICK_S, command=command)
        )

    def settle(self) -> None:
        """Until all that has happened by now has been sent: what waits on disk, then the window that is open now."""
        wait_for(lambda: not list((self.folder / "spool").glob("*.window")), "nothing waits on disk", 120)
        known = len(self.seen.batches)
        wait_for(lambda: len(self.seen.batches) > known + 2, "windows that began after", 120)

    def end(self) -> None:
        self._stack.close()

    def churn(self) -> None:
        """A pod comes, talks and goes."""
        pod = self.net.pod(f"c{len(self.churned)}")
        wait_for(lambda: f"belongs to pod {pod.uid}" in self.agent.words(), f"{pod.name} is found", 60)
        pod.run(ASK.format(family=2, host=self.server.ipv4, port=PORT, size=50))
        self.churned.append(pod)
        if self.chance.random() < 0.9:
            self.net.kill(pod)

    def flap(self) -> None:
        pod = self.chance.choice(self.talkers)
        ip("link", "set", pod.veth, "down", netns=self.net.netns)
        time.sleep(self.chance.random() * 0.1)
        ip("link", "set", pod.veth, "up", netns=self.net.netns)
        ip("route", "replace", f"{pod.ipv4}/32", "dev", pod.veth, netns=self.net.netns)
        self.flaps += 1

    def set_clock(self) -> None:
        self.offset.write_text(str(int(self.offset.read_text()) + STEPS_S[self.steps % len(STEPS_S)] * 10**9))
        self.steps += 1

    def kill(self) -> None:
        """kill -9; the next one starts at once."""
        self.agent.process.send_signal(signal.SIGKILL)
        self.agent.process.wait()
        self.agent = self._start()
        self.kills += 1


@pytest.fixture(scope="module")
def chaos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chaos]:
    folder = tmp_path_factory.mktemp("chaos")
    with node() as net, receiving(folder) as seen, bpffs() as pins:
        made = Chaos(net, seen, folder, pins / "eastwest")
        try:
            every = max(1, min(10, PODS // 12))
            for n in range(PODS):
                made.churn()
                if n % every == every - 1:
                    (made.flap, made.set_clock, made.set_clock, made.kill)[n // every % 4]()
            made.settle()
        finally:
            made.end()
        print(f"chaos: seed {SEED}, {PODS} pods, {made.kills} kills, {made.flaps} flaps, {made.steps} clock steps")
        yield made


def test_every_book_closes(chaos: Chaos) -> None:
    assert chaos.kills >= 2
    assert chaos.steps >= 3
    books = [book for header, _ in chaos.seen.batches for book in header.books]
    assert len(books) > 100
    assert [book for book in books if book.unexplained != Amount(0, 0)] == []
    assert chaos.seen.unseen() == {}
    for header, records in chaos.seen.batches:
        recorded = sum(b.recorded.bytes for b in header.books)
        assert recorded == sum(r["bytes_forward"] + r["bytes_reverse"] for r in records)


def test_windows_are_as_long_as_they_lasted_whatever_the_clock_says(chaos: Chaos) -> None:
    """The server refuses a window that ends before it begins, and a day-long one would hide a gap."""
    lengths = [h.window_end_ns - h.window_start_ns for h, _ in chaos.seen.batches]
    assert min(lengths) > 1_000_000
    assert max(lengths) < 20 * 10**9
    starts = [h.window_start_ns for h, _ in chaos.seen.batches]
    assert max(starts) - min(starts) > 3600 * 10**9, "the clocks were set"


def test_every_pod_that_was_found_is_in_the_record(chaos: Chaos) -> None:
    recorded = {r["pod_uid"] for _, records in chaos.seen.batches for r in records}
    assert {pod.name for pod in (chaos.server, *chaos.talkers) if pod.uid not in recorded} == set()
    assert {pod.name for pod in chaos.churned if pod.uid not in recorded} == set()
    assert [h.shipping_lost for h, _ in chaos.seen.batches if h.shipping_lost] == []
    assert {cause for h, _ in chaos.seen.batches for b in h.books for cause in b.lost} == set()


def test_what_the_churned_pods_asked_is_recorded_once(chaos: Chaos) -> None:
    """One question of 50 bytes each (78 with its headers), told by its asker: neither forgotten at a kill nor told twice."""
    sent: Counter[str] = Counter()
    for _, records in chaos.seen.batches:
        for r in records:
            if r["reporter"] == "client" and r["dst_port"] == PORT:
                sent[r["pod_uid"]] += r["packets_forward"]
    assert {pod.name: sent[pod.uid] for pod in chaos.churned} == {pod.name: 1 for pod in chaos.churned}
