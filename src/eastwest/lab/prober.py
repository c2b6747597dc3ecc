"""Many probes at once from this process's network namespace: connect, or send and wait for an echo.

Cells are `(address, port, protocol)`; the answer for each is "reachable", "refused" or "timeout", in the same order.
SCTP has no sockets on many kernels; it will be spoken over raw IP, and is refused here until then.
"""

from __future__ import annotations

import errno
import selectors
import socket
import sys
import time
from collections.abc import Sequence
from typing import Final

Cell = Sequence[str | int]
PROTOCOLS: Final = ("TCP", "UDP")
_REFUSED: Final = frozenset(
    (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.EPERM, errno.ECONNRESET)
)
_RECVERR_V4: Final = (socket.IPPROTO_IP, 11)  # linux/in.h IP_RECVERR
_RECVERR_V6: Final = (socket.IPPROTO_IPV6, 25)  # linux/in6.h IPV6_RECVERR
_PAYLOAD: Final = b"eastwest-probe\n"
_UDP_RESEND: Final = 0.3  # seconds; a probe lost to a full queue must not look like a policy


class _Probe:
    __slots__ = ("deadline", "index", "protocol", "resend", "sock")

    def __init__(self, index: int, sock: socket.socket, protocol: str, deadline: float, resend: float) -> None:
        self.index = index
        self.sock = sock
        self.protocol = protocol
        self.deadline = deadline
        self.resend = resend


def run(cells: Sequence[Cell], timeout: float, parallel: int = 256) -> list[str]:
    """Probe every cell, at most `parallel` at a time, each for `timeout` seconds. Raises ValueError on a bad cell."""
    for _, _, protocol in cells:
        if protocol not in PROTOCOLS:
            raise ValueError(f"cannot probe {protocol} yet; only {' and '.join(PROTOCOLS)}")
    results = [""] * len(cells)
    live: dict[int, _Probe] = {}
    upcoming = 0
    with selectors.DefaultSelector() as selector:
        while upcoming < len(cells) or live:
            while upcoming < len(cells) and len(live) < parallel:
                _start(upcoming, cells[upcoming], timeout, selector, live, results)
                upcoming += 1
            now = time.monotonic()
            wait = min((min(p.deadline, p.resend) for p in live.values()), default=now) - now
            for key, _ in selector.select(max(0.0, wait) if live else 0):
                probe: _Probe = key.data
                outcome = _outcome(probe)
                if outcome is not None:
                    _finish(probe, outcome, selector, live, results)
            _expire(time.monotonic(), selector, live, results)
    return results


def _start(
    index: int, cell: Cell, timeout: float,
    selector: selectors.BaseSelector, live: dict[int, _Probe], results: list[str],
) -> None:  # fmt: skip
    address, port, protocol = str(cell[0]), int(cell[1]), str(cell[2])
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM if protocol == "TCP" else socket.SOCK_DGRAM)
    sock.setblocking(False)
    # Without it an ICMP error that comes back inside connect() is only noticed at the next retransmission.
    sock.setsockopt(*(_RECVERR_V6 if family == socket.AF_INET6 else _RECVERR_V4), 1)
    error = sock.connect_ex((address, port))
    if error not in (0, errno.EINPROGRESS):
        sock.close()
        results[index] = "refused" if error in _REFUSED else "timeout"
        return
    now = time.monotonic()
    probe = _Probe(index, sock, protocol, now + timeout, now + (_UDP_RESEND if protocol == "UDP" else timeout))
    live[index] = probe
    if protocol == "UDP":
        _send(probe)
    selector.register(sock, selectors.EVENT_WRITE if protocol == "TCP" else selectors.EVENT_READ, probe)


def _send(probe: _Probe) -> None:
    try:
        probe.sock.send(_PAYLOAD)
    except OSError:
        return  # an ICMP error of the datagram before: the next read tells


def _outcome(probe: _Probe) -> str | None:
    """What a ready socket says; None = nothing yet."""
    error = _icmp_error(probe.sock)
    if error:
        pass
    elif probe.protocol == "TCP":
        error = probe.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    else:
        try:
            probe.sock.recv(2048)
            error = 0
        except BlockingIOError:
            return None
        except OSError as failed:
            error = failed.errno or errno.ETIMEDOUT
    if error == 0:
        return "reachable"
    return "refused" if error in _REFUSED else "timeout"


def _icmp_error(sock: socket.socket) -> int:
    """The errno of an ICMP error that came back (first field of struct sock_extended_err); 0 = none."""
    try:
        _, ancillary, _, _ = sock.recvmsg(1, 512, socket.MSG_ERRQUEUE)
    except OSError:
        return 0
    return int.from_bytes(ancillary[0][2][:4], sys.byteorder) if ancillary else 0


def _finish(
    probe: _Probe, outcome: str, selector: selectors.BaseSelector, live: dict[int, _Probe], results: list[str]
) -> None:
    results[probe.index] = outcome
    selector.unregister(probe.sock)
    probe.sock.close()
    del live[probe.index]


def _expire(now: float, selector: selectors.BaseSelector, live: dict[int, _Probe], results: list[str]) -> None:
    for probe in list(live.values()):
        if now >= probe.deadline:
            _finish(probe, "timeout", selector, live, results)
        elif now >= probe.resend:
            _send(probe)
            probe.resend = now + _UDP_RESEND
