"""Figures of the node, from prepared files and from this very machine."""

from __future__ import annotations

from pathlib import Path

from eastwest.agent import hoststats

NET_DEV = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:  100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
  eth0: 18446744073709551615 12 1 2 0 0 0 0 400 5 6 7 0 0 0 0
veth@x:9 1 0 0 0 0 0 0 8 1 0 0 0 0 0 0
"""


def test_interface_totals(tmp_path: Path) -> None:
    (tmp_path / "thread-self/net").mkdir(parents=True)
    (tmp_path / "thread-self/net/dev").write_text(NET_DEV)
    found = hoststats.interfaces(tmp_path)
    assert set(found) == {"eth0", "veth@x"}
    assert found["eth0"] == hoststats.InterfaceTotals(2**64 - 1, 12, 1, 2, 400, 5, 6, 7)


def test_conntrack_usage(tmp_path: Path) -> None:
    assert hoststats.conntrack(tmp_path) is None
    base = tmp_path / "sys/net/netfilter"
    base.mkdir(parents=True)
    (base / "nf_conntrack_count").write_text("12\n")
    assert hoststats.conntrack(tmp_path) is None
    (base / "nf_conntrack_max").write_text("100\n")
    assert hoststats.conntrack(tmp_path) == hoststats.Conntrack(12, 100)


def test_instance_id(tmp_path: Path) -> None:
    tag = tmp_path / "board_asset_tag"
    assert hoststats.instance_id(tag) == ""
    tag.write_text("Not Specified\n")
    assert hoststats.instance_id(tag) == ""
    tag.write_text("i-0123456789abcdef0\n")
    assert hoststats.instance_id(tag) == "i-0123456789abcdef0"


def test_this_machine_agrees_with_other_ways_of_asking() -> None:
    assert set(hoststats.interfaces()) == {entry.name for entry in Path("/sys/class/net").iterdir()} - {
        "lo",
        "bonding_masters",
    }
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    assert abs(hoststats.resident_bytes() - int(status["VmRSS"].split()[0]) * 1024) < 8 << 20
    assert hoststats.cpu_seconds() > 0
