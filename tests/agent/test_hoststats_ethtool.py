"""The ethtool ioctl on this machine's drivers, and ENA's counters from replies made of its driver's string table."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
from collections.abc import Iterator

import pytest

from eastwest.agent.hoststats_ethtool import GSSET_INFO, GSTATS, GSTRINGS, AllowanceReader, Allowances, names, values

# drivers/net/ethernet/amazon/ena/ena_ethtool.c: ena_stats_global_strings, then the ENI metrics, then queue counters.
ENA = {
    "tx_timeout": 0, "suspend": 0, "resume": 0, "wd_expired": 0, "interface_up": 1, "interface_down": 0, "admin_q_pause": 0,
    "bw_in_allowance_exceeded": 12, "bw_out_allowance_exceeded": 2**40, "pps_allowance_exceeded": 3,
    "conntrack_allowance_exceeded": 4, "linklocal_allowance_exceeded": 5, "conntrack_allowance_available": 136812,
    "queue_0_tx_cnt": 900, "queue_0_tx_bytes": 90000,
}  # fmt: skip


class Driver:
    """Replays a driver's replies; counts what it is asked."""

    def __init__(self, **interfaces: dict[str, int]) -> None:
        self.interfaces = interfaces
        self.asked: list[tuple[str, int]] = []

    def __call__(self, interface: str, buffer: bytearray) -> None:
        (command,) = struct.unpack_from("=I", buffer)
        self.asked.append((interface, command))
        if interface not in self.interfaces:
            raise OSError(95, "Operation not supported")
        stats = self.interfaces[interface]
        if command == GSSET_INFO:
            struct.pack_into("=I", buffer, 16, len(stats))
        elif command == GSTRINGS:
            buffer[12:] = b"".join(name.encode().ljust(32, b"\0") for name in stats)
        elif command == GSTATS:
            struct.pack_into("=I", buffer, 4, len(stats))
            buffer[8 : 8 + 8 * len(stats)] = struct.pack(f"={len(stats)}Q", *stats.values())


def test_ena_allowances() -> None:
    driver = Driver(ens5=ENA)
    reader = AllowanceReader(driver)
    expected = {"bw_in": 12, "bw_out": 2**40, "pps": 3, "conntrack": 4, "linklocal": 5}
    assert reader.read(["ens5", "veth1"]) == {"ens5": Allowances(expected, 136812)}


def test_older_ena_without_conntrack_available() -> None:
    old = {k: v for k, v in ENA.items() if "conntrack" not in k and "linklocal" not in k}
    assert AllowanceReader(Driver(ens5=old)).read(["ens5"]) == {
        "ens5": Allowances({"bw_in": 12, "bw_out": 2**40, "pps": 3}, None)
    }


def test_drivers_without_allowances_are_asked_once_until_they_disappear() -> None:
    driver = Driver(eth0={"rx_queue_0_packets": 1})
    reader = AllowanceReader(driver)
    for _ in range(3):
        assert reader.read(["eth0", "lo"]) == {}
    assert len(driver.asked) == 3  # two for eth0, one refused for lo
    reader.read([])
    driver.interfaces["eth0"] = ENA
    assert set(reader.read(["eth0"])) == {"eth0"}


def test_a_driver_that_changes_its_counters_is_left_alone() -> None:
    driver = Driver(ens5=dict(ENA))
    reader = AllowanceReader(driver)
    reader.read(["ens5"])
    del driver.interfaces["ens5"]["queue_0_tx_cnt"]
    assert reader.read(["ens5"]) == {}


@pytest.fixture
def veth() -> Iterator[str]:
    name = f"ewt{os.getpid() % 100000}"
    subprocess.run(["ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}p"], check=True)
    yield name
    subprocess.run(["ip", "link", "del", name], check=True)


@pytest.mark.root
def test_the_ioctl_reads_a_real_driver(veth: str) -> None:
    known = names(veth)
    assert "peer_ifindex" in known
    peer = values(veth, len(known))[known.index("peer_ifindex")]
    assert peer == socket.if_nametoindex(f"{veth}p")
    with pytest.raises(OSError):
        names("gone0")
    assert AllowanceReader().read([veth, "lo", "gone0"]) == {}
