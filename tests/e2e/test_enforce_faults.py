"""What is in force stays in force: the server away while pods come and go, a burst of edits, a kill -9 of everything in it.

`make test` runs samples (printed); `make soak` has the server away for EASTWEST_AWAY_S=600 seconds and makes
EASTWEST_EDITS=2000 edits in a minute. All versions of a burst grant and deny the same to the paths that are probed meanwhile, each
time in other words, so one packet decided otherwise is one packet decided on something half applied.
"""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from eastwest.cli._enforced import InForce
from eastwest.cli._stack import Plan, Stack
from eastwest.lab.holding import Held

AWAY_S: Final = float(os.environ.get("EASTWEST_AWAY_S", "0"))  # at least two rounds of pods
EDITS: Final = int(os.environ.get("EASTWEST_EDITS", "200"))
pytestmark = [pytest.mark.root, pytest.mark.timeout(240 + 2 * AWAY_S + EDITS)]

ROUND_S: Final = 2.0  # between pods' coming and their going, when the server is away for long
PAUSE_S: Final = 60 / 2000
SYN_S: Final = 0.9  # less than TCP waits before it tries again: one SYN that is dropped is one probe that fails
SHUT_S: Final = 0.25
Json = dict[str, Any]
Cell = tuple[str, str, int, str, int]

NODES: Final = {
    "f/web-1": "node-1", "f/web-2": "node-2", "f/client": "node-1", "f/near": "node-2", "f/shut": "node-1",
    "y/out": "node-1", "y/other": "node-2",
}  # fmt: skip
WEB: Final = ("f/web-1", "f/web-2")
OPEN: Final[tuple[Cell, ...]] = tuple(
    (src, dst, 80, "TCP", family)
    for src, dst in (*((src, web) for src in ("f/client", "f/near") for web in WEB), ("y/other", "y/out"))
    for family in (4, 6)
)
SHUT: Final[tuple[Cell, ...]] = tuple(  # from others than OPEN: who waits for silence asks nothing else
    (src, dst, port, protocol, family)
    for web in WEB
    for src, dst, port in (("f/shut", web, 81), ("y/out", web, 80), (web, "f/near", 80))
    for protocol in ("TCP", "UDP")
    for family in (4, 6)
)


def pod(name: str, node: str) -> Json:
    space, _, short = name.partition("/")
    ports = [{"containerPort": n, "protocol": p} for n in (80, 81, 82) for p in ("TCP", "UDP")]
    role = "web" if name in WEB else "client"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": short, "namespace": space, "labels": {"pod": short, "role": role}},
        "spec": {"nodeName": node, "containers": [{"name": "serve", "image": "serve", "ports": ports}]},
    }


def policy(name: str, kinds: list[str], selects: Json, **rules: list[Json]) -> Json:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "f"},
        "spec": {"podSelector": selects, "policyTypes": kinds, **rules},
    }


DENY: Final = policy("deny", ["Ingress"], {})
OUT: Final = policy("out", ["Egress"], {}, egress=[{}])


def edit(number: int) -> Json:
    """Always: whoever has the role of a client may use port 80 of the web pods, and that only; port 82 is f/near's in even versions and
    f/client's in odd ones."""
    clients = (
        {"podSelector": {"matchLabels": {"role": "client"}}},
        {"podSelector": {"matchExpressions": [{"key": "role", "operator": "In", "values": ["client", f"r{number}"]}]}},
        {"podSelector": {"matchExpressions": [{"key": "role", "operator": "NotIn", "values": ["web", f"r{number}"]}]}},
    )[number % 3]
    filler = {"ipBlock": {"cidr": f"198.18.{number % 250}.0/24"}}
    marked = {"podSelector": {"matchLabels": {"pod": ("near", "client")[number % 2]}}}
    rules = [
        {"from": [clients, filler], "ports": [{"port": 80}, {"port": 9000 + number}]},
        {"from": [marked], "ports": [{"port": 82}]},
    ]
    return policy("edited", ["Ingress"], {"matchLabels": {"role": "web"}}, ingress=rules[:: (1, -1)[number // 2 % 2]])


class Site:
    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        assert stack.lab is not None
        self.lab = stack.lab
        self._in_force = InForce(stack)

    def in_force(self) -> None:
        self.lab.settle()
        self._in_force(self.lab.changed_ns())

    def set(self, path: str, **body: Any) -> None:
        self.stack.put(f"/api/v1/enforcement/{path}", **body)

        def compiled() -> bool:
            status = self.stack.get("/api/v1/enforcement")
            return bool(status["revision"] == status["settings"]["revision"])

        self.stack.wait_for("the settings to be compiled", compiled, 15)
        self.in_force()

    def versions(self) -> dict[str, int]:
        return {n["node"]: n["realised_version"] for n in self.stack.get("/api/v1/enforcement")["nodes"]}

    def reaches(self, *cells: Cell) -> list[bool]:
        """One that is not reachable at first is asked again: a probe can be lost."""
        found = dict(zip(cells, self._probe(cells), strict=True))
        again = [cell for cell, reached in found.items() if not reached]
        found |= zip(again, self._probe(again), strict=True)
        return [found[cell] for cell in cells]

    def _probe(self, cells: Sequence[Cell]) -> list[bool]:
        return [r.reachable for r in self.lab.probe_many(cells, SYN_S)]

    def delete_pods(self, *names: str) -> None:
        """Returns when they are gone."""
        for name in names:
            self.lab.delete("Pod", *name.split("/"))

        def gone() -> bool:
            there = {f"{p['metadata']['namespace']}/{p['metadata']['name']}" for p in self.lab.objects("Pod")}
            return there.isdisjoint(names)

        self.stack.wait_for(f"{', '.join(names)} to be gone", gone, 30)

    def kill_server(self) -> None:
        assert self.stack.server is not None
        self.stack.server.signal(signal.SIGKILL)
        self.stack.server.stop()

    def last_edit_is_in_force(self, number: int) -> bool:
        marked: list[Cell] = [(src, web, 82, "TCP", 4) for src in ("f/near", "f/client") for web in WEB]
        return self.reaches(*marked) == [number % 2 == 0] * 2 + [number % 2 == 1] * 2

    @contextmanager
    def invariant(self) -> Iterator[dict[str, int]]:
        """Probe all of OPEN and SHUT, over and over, in the meantime: not one may go the other way. Yields the counts so far."""
        stop, counts = threading.Event(), {"open": 0, "shut": 0}
        wrong: list[str] = []
        began, dropped = time.monotonic(), softnet_drops()

        def probing(name: str, cells: Sequence[Cell], timeout: float, expected: bool) -> Callable[[], None]:
            def run() -> None:
                try:
                    for _ in iter(stop.is_set, True):
                        asked_s, lost = time.monotonic() - began, softnet_drops()
                        results = self.lab.probe_many(cells, timeout)
                        lost, took_s = softnet_drops() - lost, time.monotonic() - began - asked_s
                        wrong.extend(
                            f"{r} (asked at {asked_s:.1f} s, answers took {took_s:.1f} s, {lost} packets dropped by full queues)"
                            for r in results
                            if r.reachable is not expected
                        )
                        counts[name] += len(results)
                        stop.wait(0.01)
                except Exception as error:
                    wrong.append(f"probing ended: {error!r}")

            return run

        threads = [
            threading.Thread(target=probing("open", OPEN, SYN_S, True)),
            threading.Thread(target=probing("shut", SHUT, SHUT_S, False)),
        ]
        for thread in threads:
            thread.start()
        try:
            yield counts
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        if wrong:
            print(*wrong, f"{softnet_drops() - dropped} packets dropped by full queues in all", sep="\n")
        assert wrong == [], f"{len(wrong)} of {counts}; denied by the records: {self.denied_now()}"
        assert counts["open"] > 10 * len(OPEN)
        assert counts["shut"] > len(SHUT)

    def edits(self, numbers: range) -> None:
        """One every PAUSE_S; one that took longer is made up for by the next."""
        due = time.monotonic()
        for number in numbers:
            due += PAUSE_S
            self.lab.apply_objects([edit(number)], wait=False)
            time.sleep(max(0.0, due - time.monotonic()))

    def cpu_s(self) -> dict[str, float]:
        """Processor time of each part of the product so far."""
        parts = {"server": self.stack.server, **self.stack.agents}
        ticks = os.sysconf("SC_CLK_TCK")
        found = {}
        for name, part in parts.items():
            assert part is not None
            assert part.process is not None
            fields = Path(f"/proc/{part.process.pid}/stat").read_text().rpartition(")")[2].split()
            found[name] = (int(fields[11]) + int(fields[12])) / ticks  # utime, stime: proc(5)
        return found

    def denied_now(self) -> str:
        """For the failure's text: a server that is away cannot tell."""
        try:
            rows = self.stack.get("/api/v1/flows", verdict="denied", window="15m", limit="1000")["rows"]
        except Exception as error:
            return f"unknown, {error!r}"
        denied = {(_end(r, "src"), _end(r, "dst"), r["dst_port"]): str(r) for r in rows}
        return str([denied[cell[:3]] for cell in OPEN if cell[:3] in denied])

    def denied_of_open(self) -> list[str]:
        """What the records say was denied of the paths that are always open, once both nodes' have come."""
        denied: dict[Any, Json] = {}

        def told() -> bool:
            rows = self.stack.get("/api/v1/flows", verdict="denied", window="15m", limit="1000")["rows"]
            denied.update({(_end(r, "src"), _end(r, "dst"), r["dst_port"]): r for r in rows})
            return {cell[:3] for cell in SHUT} <= denied.keys()

        self.stack.wait_for("the records of what is always shut", told, 60 + AWAY_S / 10)
        return [str(denied[cell[:3]]) for cell in OPEN if cell[:3] in denied]


def softnet_drops() -> int:
    """Packets that the kernel dropped since it started because a processor's queue of received packets was full; every lab and
    test of the machine shares these queues (second column of softnet_stat)."""
    return sum(int(line.split()[1], 16) for line in Path("/proc/net/softnet_stat").read_text().splitlines())


def _end(row: Json, side: str) -> str:
    return f"{row[f'{side}_namespace']}/{row[f'{side}_pod']}"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Stack(Plan([], name="e2e-faults", nodes=2, listen="127.0.0.1:0", enforce=True)) as stack:
        found = Site(stack)
        spaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": n}} for n in ("f", "y")]
        found.lab.apply_objects([*spaces, *itertools.starmap(pod, NODES.items()), DENY, OUT, edit(0)])
        found.set("namespaces/f", mode="enforce")
        yield found


@pytest.fixture
def held(site: Site) -> Iterator[Held]:
    """A transfer on an open path that lasts as long as the test; the server runs, also when a test before left it dead."""
    assert site.stack.server is not None
    if site.stack.server.process is None:
        site.stack.start_server()
    held = site.lab.hold("f/client", "f/web-2:80/TCP", size_bytes=20_000)
    assert held.alive()
    yield held
    held.end()


@pytest.mark.parametrize("unknown", ["off", "denied"])
def test_pods_come_and_go_while_the_server_is_away(site: Site, held: Held, unknown: str) -> None:
    """The last plan holds; a pod that it does not know follows the node's posture; afterwards everything is realised."""
    if unknown == "denied":
        site.set("posture", scope="namespace", name="y", posture="allow")
        site.set("posture", scope="cluster", posture="deny")
        site.set("namespaces/*", mode="enforce")
    late = {f"{space}/{unknown}-{node}": node for space in ("f", "y") for node in ("node-1", "node-2")}
    of_f, of_y = ([name for name in late if name.startswith(space)] for space in "fy")
    with site.invariant() as counts:
        site.kill_server()
        began, rounds = time.monotonic(), 0
        while rounds < 2 or time.monotonic() < began + AWAY_S:  # the last ones stay
            if rounds:
                time.sleep(ROUND_S if AWAY_S else 0.0)
                site.delete_pods(*late)
            site.lab.apply_objects([pod(name, node) for name, node in late.items()])
            rounds += 1
        to_new: list[Cell] = [("y/out", name, 80, "TCP", family) for name in late for family in (4, 6)]
        from_new: list[Cell] = [(name, "y/other", 80, "TCP", 4) for name in late]
        granted: list[Cell] = [(name, web, 80, "TCP", 4) for name in of_f for web in WEB]
        own_node: list[Cell] = [(f"node:{node}", name, 80, "TCP", 4) for name, node in late.items()]
        assert set(site.reaches(*to_new, *from_new)) == {unknown == "off"}
        assert not any(site.reaches(*granted)), "no plan knows them as anybody's peers yet"
        assert all(site.reaches(*own_node))
        away_s, back = time.monotonic() - began, time.monotonic()
        site.stack.start_server()
        site.in_force()
        back_s = time.monotonic() - back
        assert all(site.reaches(*granted, *own_node, *((name, "y/other", 80, "TCP", 4) for name in late)))
        assert all(site.reaches(*(("y/out", name, 80, "TCP", 4) for name in of_y)))
        assert not any(site.reaches(*(("y/out", name, 80, "TCP", 4) for name in of_f)))
    print(
        f"server away: {away_s:.0f} s, {rounds} rounds of {len(late)} pods, in force {back_s:.1f} s after its start, {counts}"
    )
    assert (held.alive(5), held.report().failure) == (True, None)
    assert site.denied_of_open() == []


def test_a_burst_of_edits(site: Site, held: Held) -> None:
    before, used, began = site.versions(), site.cpu_s(), time.monotonic()
    with site.invariant() as counts:
        site.edits(range(1, EDITS))
        took_s = time.monotonic() - began
        site.in_force()
        last_s = time.monotonic() - began - took_s
        cpu_ms = {name: round(1000 * (s - used[name]) / EDITS, 1) for name, s in site.cpu_s().items()}
        assert site.last_edit_is_in_force(EDITS - 1)
    versions = {node: version - before[node] for node, version in site.versions().items()}
    print(
        f"burst: {EDITS} edits in {took_s:.1f} s ({60 * EDITS / took_s:.0f} a minute), the last in force {last_s:.1f} s later, "
        f"{versions} versions, {counts}; processor time, ms an edit: {cpu_ms}"
    )
    assert min(versions.values()) > 1
    assert (held.alive(5), held.report().failure) == (True, None)
    assert site.denied_of_open() == []


def test_everything_is_killed_in_a_burst_of_edits(site: Site, held: Held) -> None:
    with site.invariant() as counts:
        site.edits(range(EDITS, EDITS + 50))
        for part in (site.stack.server, *site.stack.agents.values()):
            assert part is not None
            part.signal(signal.SIGKILL)
        for part in (site.stack.server, *site.stack.agents.values()):
            assert part is not None
            part.stop()
        site.edits(range(EDITS + 50, EDITS + 75))
        for node in site.stack.agents:
            site.stack.start_agent(node)
        site.stack.start_server()
        site.edits(range(EDITS + 75, EDITS + 101))
        site.in_force()
        assert site.last_edit_is_in_force(EDITS + 100)
    print(f"kills in a burst: {counts}")
    assert (held.alive(5), held.report().failure) == (True, None)
