"""Where FORWARD cannot see a Service's backend, egress enforcement is refused with a reason a person can act on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from eastwest.agent.policy.forward import Counter, blind_spot

HEADER = Path(__file__).parents[3] / "bpf" / "forward" / "forward.h"
IPVS = """IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
"""
DEV = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0
"""


def proc(
    folder: Path, *, ipvs: str | None = None, links: str = "", forwards: tuple[str, str | None] = ("1", "0")
) -> Path:
    """/proc as such a node has it; `forwards` of IPv4 and IPv6, None: no such family."""
    net = folder / "thread-self" / "net"
    net.mkdir(parents=True)
    (net / "dev").write_text(DEV + "".join(f"{link}: 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n" for link in links.split()))
    if ipvs is not None:
        (net / "ip_vs").write_text(ipvs)
    for value, path in zip(forwards, ("ipv4/ip_forward", "ipv6/conf/all/forwarding"), strict=True):
        if value is not None:
            file = folder / "sys" / "net" / path
            file.parent.mkdir(parents=True)
            file.write_text(value + "\n")
    return folder


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"ipvs": IPVS + "TCP  0A600001:01BB rr\n"}, "IPVS"),
        ({"links": "eth0 cilium_host"}, "Cilium"),
        ({"links": "bpfin.cali"}, "Calico"),
        ({"forwards": ("0", None)}, "ip_forward"),
    ],
)
def test_refused_with_a_reason(tmp_path: Path, options: dict[str, object], word: str) -> None:
    reason = blind_spot(proc(tmp_path, **options))  # type: ignore[arg-type]
    assert reason is not None
    assert word in reason


@pytest.mark.parametrize("options", [{}, {"ipvs": IPVS}, {"links": "eth0 cali123 veth1"}, {"forwards": ("0", "1")}])
def test_seen(tmp_path: Path, options: dict[str, object]) -> None:
    """The IPVS module without Services translates nothing."""
    assert blind_spot(proc(tmp_path, **options)) is None  # type: ignore[arg-type]


def test_counters_are_the_headers() -> None:
    written = {w: int(n) for w, n in re.findall(r"FORWARD_(\w+) = (\d+)", HEADER.read_text())}
    written.pop("COUNTERS")
    assert written == {member.name: int(member) for member in Counter}
