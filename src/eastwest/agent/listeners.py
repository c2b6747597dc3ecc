"""The sockets of a pod that accept connections: by sock_diag, else from /proc/PID/net of one of its processes.

TCP: state LISTEN. UDP: bound and not connected, outside the range from which the kernel picks ports by itself, because
a client's socket is bound too. Says nothing about who talks to them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from eastwest.agent import sockdiag
from eastwest.model.flow import Protocol

PROC: Final = Path("/proc")
Ports = set[tuple[int, int]]
"""(protocol, port); port 0 says that the protocol's table was read."""

_LISTEN: Final = "0A"
_READ_LIMIT: Final = 1 << 18


def read(pid: int) -> Ports | None:
    """The accepting sockets of the process's network namespace; None when the process has ended."""
    try:
        found = sockdiag.read(pid)
    except OSError:  # it has ended, or we may not enter the namespace, or the kernel lacks a diag module
        return read_proc(pid)
    return found | {(Protocol.TCP, 0), (Protocol.UDP, 0)}


def read_proc(pid: int, proc: Path = PROC) -> Ports | None:
    """As `read`, from the text tables: slow (see `sockdiag`), but no capability is needed."""
    net = proc / str(pid) / "net"
    try:
        low, high = _ephemeral(net, proc)
        found: Ports = {(Protocol.TCP, 0), (Protocol.UDP, 0)}
        for name in ("tcp", "tcp6"):
            found |= {(int(Protocol.TCP), port) for port in parse_tcp(_text(net / name))}
        for name in ("udp", "udp6"):
            ports = parse_udp(_text(net / name))
            found |= {(int(Protocol.UDP), port) for port in ports if not low <= port <= high}
    except OSError:
        return None
    return found


def parse_tcp(text: str) -> set[int]:
    """Ports in state LISTEN; they come first in the table (net/ipv4/tcp_ipv4.c, tcp_get_idx)."""
    ports: set[int] = set()
    for fields in _rows(text):
        if fields[3] != _LISTEN:
            break
        ports.add(_port(fields[1]))
    return ports


def parse_udp(text: str) -> set[int]:
    """Ports bound by sockets that are not connected to anybody."""
    return {_port(fields[1]) for fields in _rows(text) if _port(fields[2]) == 0}


def _rows(text: str) -> list[list[str]]:
    rows = [line.split() for line in text.splitlines()[1:]]
    return [r for r in rows if len(r) > 3 and ":" in r[1] and ":" in r[2]]


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)


def _text(path: Path) -> str:
    """The beginning of a table; none at all where the family is off."""
    try:
        with path.open() as file:
            text = file.read(_READ_LIMIT)
    except FileNotFoundError:
        return ""
    return text.rpartition("\n")[0] if len(text) == _READ_LIMIT else text


def _ephemeral(net: Path, proc: Path) -> tuple[int, int]:
    """The range of automatic ports. It is per namespace, and shown for the reader's own only: ours stands for it."""
    (net / "dev").stat()  # raises when the process has ended
    low, high = (proc / "sys/net/ipv4/ip_local_port_range").read_text().split()
    return int(low), int(high)
