"""Windows on disk: kept over a kill, sent exactly once, and every loss declared with its amount."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from agent.netlab import CALL, bpffs, node, wait_for
from agent.receiver import agent, receiving
from eastwest.agent.outbox import Outbox, Shipment
from eastwest.agent.spool import HandedOver, Spool, SpoolError
from eastwest.model.batch import Amount
from wire.factories_wire import make_header


class Life:
    """One agent's outbox on a spool. `end` is a kill: nothing is tidied up."""

    def __init__(self, folder: Path, boot: str, limit_bytes: int = 1 << 20, cluster: str = "c1") -> None:
        self.spool = Spool(folder)
        self.box = Outbox(1000, self.spool, limit_bytes)
        self.box.boot(boot)
        self.waiting = self.box.resume(cluster, "n1")

    def put(self, *starts: int, size: int = 10, drained: HandedOver | None = None) -> None:
        for start in starts:
            header = make_header(
                cluster="c1",
                node="n1",
                boot_id=self.box._boot_id,
                window_start_ns=start,
                window_end_ns=start + 1,
                shipping_lost={},
                shipping_lost_windows=(),
            )
            self.box.put(header, bytes([start] * size), Amount(start * 10, start), drained)

    def head(self) -> Shipment:
        (shipment,) = self.box.head(0)
        return shipment

    def send(self) -> tuple[str, int, int]:
        """Take the head to a server that takes it: (boot, seq, start)."""
        shipment = self.head()
        self.box.done(shipment)
        return shipment.header.boot_id, shipment.header.seq, shipment.header.window_start_ns

    def end(self) -> None:
        self.spool.close()


def test_windows_outlive_their_agent(tmp_path: Path) -> None:
    one = Life(tmp_path, "one")
    one.put(1, 2, 3)
    assert one.send() == ("one", 0, 1)
    one.end()
    two = Life(tmp_path, "two")
    assert two.waiting == 2
    two.put(4)
    assert two.head().records == bytes([2] * 10)
    assert [two.send() for _ in range(3)] == [("two", 0, 2), ("two", 1, 3), ("two", 2, 4)]
    assert list(tmp_path.glob("*.window")) == list(tmp_path.glob("*.sent")) == []
    two.end()


def test_a_window_that_was_tried_keeps_its_number(tmp_path: Path) -> None:
    """The server may have it: under another number it would be stored twice."""
    one = Life(tmp_path, "one")
    one.put(1, 2)
    one.send()
    tried = one.head().header
    one.end()
    two = Life(tmp_path, "two")
    assert two.head().header == tried
    assert two.send() == ("one", 1, 2)
    two.end()


def test_several_that_were_tried_keep_their_numbers_and_what_they_declare(tmp_path: Path) -> None:
    one = Life(tmp_path, "one")
    one.put(1, 2, 3, 4, 5)
    one.box.declare("agent_ended", Amount(7, 1), (0, 1))
    tried = [s.header for s in one.box.head(0, 3)]
    assert [h.shipping_lost for h in tried] == [{"agent_ended": Amount(7, 1)}, {}, {}]
    one.box.done(one.box.head(0, 3)[1])  # the second was taken, then it was killed
    one.end()
    two = Life(tmp_path, "two")
    again = [s.header for s in two.box.head(0, 9)]
    assert again[:2] == [tried[0], tried[2]]
    assert [(h.boot_id, h.seq, h.window_start_ns) for h in again[2:]] == [("two", 0, 4), ("two", 1, 5)]
    assert [h.shipping_lost for h in again[1:]] == [{}, {}, {}]
    two.end()


def test_a_damaged_window_among_several_is_declared_by_the_next(tmp_path: Path) -> None:
    one = Life(tmp_path, "one")
    one.put(1, 2, 3)
    sorted(tmp_path.glob("*.window"))[1].write_bytes(b"torn")
    first, second = (s.header for s in one.box.head(0, 9))
    assert (first.shipping_lost, second.window_start_ns) == ({}, 3)
    assert second.shipping_lost == {"spool_corrupt": Amount(20, 2)}
    one.end()


def test_what_has_no_room_is_declared_by_whoever_comes(tmp_path: Path) -> None:
    one = Life(tmp_path, "one")
    one.put(1)
    one.box.limit_bytes = 3 * one.box.bytes
    one.put(2, 3, 4, 5)
    assert len(one.box) == 3
    one.end()
    two = Life(tmp_path, "two")
    header = two.head().header
    assert header.window_start_ns == 3
    assert header.shipping_lost == {"spool_full": Amount(30, 3)}
    assert header.shipping_lost_windows == ((1, 3),)
    two.end()
    three = Life(tmp_path, "three")
    assert three.head().header == header  # declared once, however often it is sent
    three.send()
    assert three.head().header.shipping_lost == {}
    three.end()
    four = Life(tmp_path, "four")
    four.send()
    assert four.head().header.shipping_lost == {}
    four.end()


@pytest.mark.parametrize("damage", ["torn", "flipped", "empty"])
def test_a_damaged_window_is_declared_and_the_next_one_sent(tmp_path: Path, damage: str) -> None:
    one = Life(tmp_path, "one")
    one.put(1, 2, 3)
    one.end()
    second = sorted(tmp_path.glob("*.window"))[1]
    raw = bytearray(second.read_bytes())
    if damage == "flipped":
        raw[len(raw) // 2] ^= 1
    second.write_bytes({"torn": raw[: len(raw) // 2], "flipped": raw, "empty": b""}[damage])
    (tmp_path / "000000000009-1-2-3-4.window.tmp").write_bytes(b"half a wind")
    two = Life(tmp_path, "two")
    assert two.send() == ("two", 0, 1)
    third = two.head().header
    assert (third.seq, third.window_start_ns) == (1, 3)
    assert third.shipping_lost == {"spool_corrupt": Amount(20, 2)}
    assert third.shipping_lost_windows == ((2, 3),)
    assert not second.exists()
    assert not list(tmp_path.glob("*.tmp"))
    two.end()


def test_a_disk_that_refuses_leaves_windows_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Life(tmp_path, "one")
    one.put(1)
    remembered: list[Amount] = []
    one.box.remember(lambda amount, *_: remembered.append(amount))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Spool, "_write", full)
    one.put(2)
    assert "No space left" in one.box.complaint
    assert remembered[-1] == Amount(20, 2)  # what a kill would cost now
    assert [one.send()[2], one.send()[2]] == [1, 2]
    assert remembered[-1] == Amount(0, 0)
    monkeypatch.undo()
    one.put(3)
    assert one.box.complaint == ""
    one.end()


def test_the_newest_drain_is_known(tmp_path: Path) -> None:
    one = Life(tmp_path, "one")
    assert one.spool.handed_over() is None
    one.put(1, drained=HandedOver(7, 1, 2))
    one.put(2, drained=HandedOver(7, 2, 3))
    (tmp_path / "last.json").unlink()  # killed before it was written
    assert one.spool.handed_over() == HandedOver(7, 2, 3)
    one.put(3, drained=HandedOver(7, 3, 4))
    for _ in range(3):
        one.send()
    assert one.spool.handed_over() == HandedOver(7, 3, 4)
    one.end()


def test_another_nodes_spool_or_one_in_use_is_refused(tmp_path: Path) -> None:
    one = Life(tmp_path, "one")
    one.put(1)
    with pytest.raises(SpoolError, match="in use by another agent"):
        Spool(tmp_path)
    one.end()
    with pytest.raises(SpoolError, match="windows of node n1 in cluster c1"):
        Life(tmp_path, "two", cluster="c2")


def test_a_folder_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError, match="file/spool: Not a directory; choose another with --spool DIR"):
        Spool(tmp_path / "file" / "spool")


@pytest.mark.root
def test_an_outage_over_kills_and_a_graceful_end_loses_nothing(tmp_path: Path) -> None:
    with node() as net, receiving(tmp_path) as server, bpffs() as pins:
        a, b = net.pod("a"), net.pod("b")
        b.server(8080)
        options = ("--pin", str(pins / "eastwest"), "--spool", str(tmp_path / "spool"))
        server.status = 503
        before: dict[str, tuple[int, int]] = {}
        for life in range(3):
            with agent(net, server, tmp_path, *options, tick_s=0.1) as running:
                if not life:
                    wait_for(lambda: running.words().count("belongs to pod") == 2, "both are named")
                    before = {p.name: net.link_counters(p) for p in (a, b)}
                a.run(CALL.format(host=b.ipv4, port=8080, size=20_000))
                wait_for(lambda: "will try again" in running.words(), "an attempt failed")
                if life == 1:
                    running.stop()
                    assert "wait on disk for the next start" in running.words()
                else:
                    running.kill()
        server.status = 204
        with agent(net, server, tmp_path, *options, tick_s=0.1) as running:
            a.run(CALL.format(host=b.ipv4, port=8080, size=20_000))
            counted = {p.name: net.link_counters(p) for p in (a, b)}
            server.wait(lambda r: sum(v["connections"] for v in r.edges().values()) == 8, "all four calls, both ends")
            running.stop()
    server.assert_books_closed()
    spans = [(h.window_start_ns, h.window_end_ns) for h, _ in server.batches]
    assert all(x[1] == y[0] for x, y in itertools.pairwise(spans))
    assert all(h.shipping_lost == {} for h, _ in server.batches)
    for pod in (a, b):
        size, count = (x - y for x, y in zip(counted[pod.name], before[pod.name], strict=True))
        server.assert_hook_counted(pod.veth, size - 14 * count)
