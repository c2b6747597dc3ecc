"""A drain that was never handed over is finished by the next agent: from the records where the kernel wrote them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.netlab import bpffs
from bpf import packets as p
from bpf.flow_bench import IFINDEX, run
from eastwest.agent.bpffs import PinError, PinFolder
from eastwest.agent.kernel import FlowKernel
from eastwest.agent.sizes import Patience, Sizes
from eastwest.agent.spool import HandedOver

pytestmark = pytest.mark.root
AT_ONCE = Patience(carry_ns=0)
SIZES = Sizes(1024, 64, 256)


class Successors:
    """Agents one after the other on the same pins; each but the last is "killed" without a word."""

    def __init__(self, folder: Path, sizes: Sizes = SIZES) -> None:
        self._folder, self._sizes = folder, sizes
        self.kernel = self.open()
        self.kernel.settle()
        self.kernel.add_interface(IFINDEX, held=False)

    def open(self, sizes: Sizes | None = None, handed_over: HandedOver | None = None) -> FlowKernel:
        self.pins = PinFolder(self._folder)
        return FlowKernel(sizes or self._sizes, AT_ONCE, pins=self.pins, handed_over=handed_over)

    def next(self, sizes: Sizes | None = None, handed_over: HandedOver | None = None) -> None:
        self.close()
        self.kernel = self.open(sizes, handed_over)
        self.before = {p.ifindex: p.before for p in self.kernel.left().reported.values()}.get(IFINDEX, {})
        self.kernel.settle()

    def close(self) -> None:
        self.kernel.close()
        self.pins.close()

    def send(self, ports: range) -> None:
        """One packet to each of these ports: as many edges."""
        for port in ports:
            frame = p.ip("10.0.0.1", "10.0.0.2", p.UDP, p.udp(40000, port, bytes(12)))
            run(self.kernel.programs["ew_from_pod"], frame)

    def drain(self, quiet: int) -> int:
        """Packets in its records."""
        found = [0]
        self.kernel.drain(quiet, lambda r: found.append(int(r["tally"]["packets"].sum())))
        both = self.kernel.totals(IFINDEX)
        assert both is not None
        totals = both["set"][quiet]
        self.kernel.journal.report(IFINDEX, "lo", "uid-1", 7, quiet, {}, totals)
        return sum(found)

    def hooked(self, which: int) -> int:
        """Packets at the hook that are not accounted for yet."""
        totals: Any = self.kernel.totals(IFINDEX)
        before = self.before.get(which)
        return int(totals["set"][which]["hook"]["packets"].sum()) - (
            int(before["hook"]["packets"].sum()) if before is not None else 0
        )


@pytest.fixture
def agents(request: pytest.FixtureRequest) -> Iterator[Successors]:
    with bpffs() as folder:
        made = Successors(folder / "eastwest", getattr(request, "param", SIZES))
        yield made
        made.close()


def test_a_drain_that_was_committed_is_done(agents: Successors) -> None:
    agents.send(range(1000, 1010))
    assert agents.drain(agents.kernel.turn()) == 10
    agents.kernel.journal.commit(5)
    agents.send(range(1000, 1003))
    agents.next()
    assert agents.kernel.interrupted is None
    assert agents.kernel.journal.end_ns == 5
    quiet = agents.kernel.turn()
    assert (agents.drain(quiet), agents.hooked(quiet)) == (3, 3)


def test_records_of_a_killed_agent_are_taken_from_where_the_kernel_wrote_them(agents: Successors) -> None:
    agents.send(range(1000, 1010))
    assert agents.drain(agents.kernel.turn()) == 10
    agents.send(range(1000, 1003))
    agents.next()
    resumed = agents.kernel.resume()
    assert not resumed.lossy
    assert (agents.drain(resumed.quiet), agents.hooked(resumed.quiet)) == (10, 10)
    agents.kernel.journal.commit(resumed.end_ns)
    quiet = agents.kernel.turn()
    assert (agents.drain(quiet), agents.hooked(quiet)) == (3, 3)


def test_killed_between_the_turn_and_the_drain(agents: Successors) -> None:
    agents.send(range(1000, 1010))
    agents.kernel.turn()
    agents.next()
    resumed = agents.kernel.resume()
    assert (agents.drain(resumed.quiet), agents.hooked(resumed.quiet)) == (10, 10)


def test_killed_before_the_epoch_moved_nothing_was_interrupted(agents: Successors) -> None:
    agents.send(range(1000, 1010))
    agents.kernel.journal.begin(agents.kernel.epoch + 1)
    agents.next()
    assert agents.kernel.interrupted is None
    quiet = agents.kernel.turn()
    assert (agents.drain(quiet), agents.hooked(quiet)) == (10, 10)


@pytest.mark.parametrize("agents", [Sizes(1024, 64, 4)], indirect=True)
def test_what_earlier_runs_of_the_drain_had_taken_is_known_to_be_lost(agents: Successors) -> None:
    agents.send(range(1000, 1010))
    assert agents.drain(agents.kernel.turn()) == 10
    agents.next()
    resumed = agents.kernel.resume()
    assert resumed.lossy
    assert 0 < agents.drain(resumed.quiet) <= 4
    assert agents.hooked(resumed.quiet) == 10


def test_the_spool_knows_better(agents: Successors) -> None:
    """Killed after the window was on disk and before it was committed: it must not be recorded twice."""
    agents.send(range(1000, 1010))
    assert agents.drain(agents.kernel.turn()) == 10
    journal = agents.kernel.journal
    agents.next(handed_over=HandedOver(journal.id, journal.number, 9))
    assert agents.kernel.interrupted is None
    assert agents.kernel.journal.end_ns == 9
    for _ in range(2):
        quiet = agents.kernel.turn()
        assert (agents.drain(quiet), agents.hooked(quiet)) == (0, 0)


@pytest.mark.parametrize("drained", [False, True])
def test_maps_of_another_size_are_emptied_first(agents: Successors, drained: bool) -> None:
    agents.send(range(1000, 1010))
    if drained:
        agents.drain(agents.kernel.turn())
    agents.send(range(2000, 2005))
    agents.next(Sizes(512, 64, 128))
    assert "flows" in agents.kernel.maps
    if drained:
        resumed = agents.kernel.resume()
        assert (agents.drain(resumed.quiet), agents.hooked(resumed.quiet)) == (10, 10)
        agents.kernel.journal.commit(1)
    quiet = agents.kernel.turn()
    wanted = 5 if drained else 15
    assert (agents.drain(quiet), agents.hooked(quiet)) == (wanted, wanted)


def test_another_layout_is_not_read(agents: Successors, monkeypatch: pytest.MonkeyPatch) -> None:
    agents.send(range(1000, 1010))
    monkeypatch.setattr("eastwest.agent.abi.digest", lambda: 1)
    agents.next()
    assert not agents.kernel.journal.adopted
    assert agents.kernel.left().counting == set()


def test_pins_of_another_network_namespace_are_refused(agents: Successors, monkeypatch: pytest.MonkeyPatch) -> None:
    agents.kernel.journal._state["netns"] = 1
    agents.close()
    with pytest.raises(ValueError, match=r"another network namespace.*--release --pin"):
        agents.open()
    agents.pins.close()
    monkeypatch.undo()
    agents.kernel = FlowKernel(SIZES)
    agents.pins = PinFolder(agents.pins.path)


def test_a_folder_that_cannot_hold_pins_says_so(tmp_path: Path) -> None:
    pins = PinFolder(tmp_path / "x")
    kernel = FlowKernel(SIZES, AT_ONCE, pins=pins)
    with pytest.raises(PinError, match="must be in a bpffs"):
        kernel.settle()
    kernel.close()
    pins.close()
    with pytest.raises(PinError, match="mount -t bpf"):
        PinFolder(tmp_path / "a" / "b")
