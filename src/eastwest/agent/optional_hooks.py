"""The hooks beside flow: TCP health, drops, DNS. Each may be off or refused; what is missing is said, never zero.

One object for the agent's tick: `poll` often, `sense` before each drain (while the flow map still knows connections that
have ended), `columns` after it, `forget` when a pod is gone. The watcher thread calls `adopt` as pods come.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eastwest.agent.dns import hook as dns_hook
from eastwest.agent.dns.columns import server_names
from eastwest.agent.dns.tally import DnsTally
from eastwest.agent.dns.watch import DnsWatch
from eastwest.agent.drop import hook as drop_hook
from eastwest.agent.drop.edges import Attributed, attribute
from eastwest.agent.drop.ledger import Drops
from eastwest.agent.edges import Edges
from eastwest.agent.interfaces import Interface
from eastwest.agent.loader import LoadError
from eastwest.agent.resolve import Resolver
from eastwest.agent.sock import health
from eastwest.agent.sock import hook as sock_hook
from eastwest.agent.sock.health import Health
from eastwest.agent.sock.waiting import Waiting
from eastwest.model.batch import HookStatus
from eastwest.model.flow import Protocol
from eastwest.wire.batch import ColumnData, Maybe, Words

log = logging.getLogger("eastwest.agent")

HOOKS: Final = ("sock", "dns", "drops")
"""What can be left off, in an operator's words."""

_UNKNOWN_WHEN_ZERO: Final = frozenset({"rtt_min_us"})


def cgroup_root() -> Path:
    """Where this machine has its cgroup v2 tree (proc_pid_mountinfo(5): fields after " - " are type, source …)."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        if rest.startswith("cgroup2 "):
            return Path(fields.split()[4])
    return Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Choice:
    """What an operator wants. `cgroup` None: no TCP health."""

    cgroup: Path | None
    drops: bool = True
    dns: bool = True
    dns_ports: tuple[int, ...] = dns_hook.DEFAULT_PORTS
    host: bool = False  # also rows for connections of the node itself and of host-network pods


def interfaces_by_namespace(interfaces: Iterable[Interface]) -> dict[int, int]:
    """Inode of each known pod's namespace -> the host's end of its veth."""
    return {i.netns: i.ifindex for i in interfaces if i.netns is not None}


@dataclass(frozen=True, slots=True)
class Sensed:
    """What one window brought; None where the hook is off or refused."""

    health: Health | None = None
    drops: Drops | None = None
    attributed: Attributed | None = None  # the drops' pods and edges
    losses: NDArray[np.bool_] | None = None  # which of the drops are lost packets, see DropHook.losses
    dns: DnsTally | None = None
    counters: dict[str, int] = field(default_factory=dict)  # losses and limits, "sock_lost_records" …; totals


class OptionalHooks:
    """Open from construction to `close`. Never raises because a kernel refuses: see `statuses`."""

    def __init__(self, choice: Choice, flow_maps: Mapping[str, int], node_netns: int) -> None:
        """`flow_maps`: the flow object's, by name. `node_netns`: inode of the agent's own network namespace."""
        self._node_netns = node_netns
        self._resolver, self._sock, sock = _open_sock(choice, flow_maps)
        self._drop, drops = drop_hook.open_or_status() if choice.drops else (None, _off("drops", drop_hook.COLUMNS))
        self._dns, dns = (
            dns_hook.open_or_status(choice.dns_ports) if choice.dns else (None, _off("dns", dns_hook.COLUMNS))
        )
        self._watch = DnsWatch()
        self._waiting = Waiting(strangers=choice.host)
        self._unresolved = 0  # connections that had no flow, since the start
        self.statuses: tuple[HookStatus, ...] = (sock, drops, dns)
        self.owners: Callable[[NDArray[np.uint64]], NDArray[np.uint16]] | None = None
        """Whose the node's own sockets are, by cgroup; None: the node's."""

    @property
    def dns(self) -> dns_hook.DnsHook | None:
        """To be lent to the flow program, or attached beside it."""
        return self._dns

    def adopt(self, netns_fd: int) -> None:
        """A pod's namespace became known: follow its connections that are older than the agent. About 5 ms."""
        if self._sock is None:
            return
        try:
            self._sock.adopt(netns_fd)
        except OSError as error:  # the pod has ended meanwhile
            log.info("connections older than the agent are not followed: %s", error)

    def forget(self, ifindex: int) -> None:
        """A pod's interface is gone."""
        self._watch.names.forget_pod(ifindex)

    def poll(self) -> None:
        """Empty the rings; several times a second, so that they never fill up."""
        if self._sock is not None:
            self._sock.poll()
        if self._dns is not None:
            self._watch.see(self._dns.sightings())

    def sense(self, interface_of: Mapping[int, int]) -> Sensed:
        """Everything since the last call. `interface_of`: inode of a pod's namespace -> the host's end of its veth."""
        self.poll()
        found = None
        if self._sock is not None:
            found = health.of_edges(self._connections(interface_of), interface_of, self._resolve, self.owners)
        drops = attributed = losses = None
        if self._drop is not None:
            pods = {netns: ifindex for netns, ifindex in interface_of.items() if netns != self._node_netns}
            self._drop.watch({self._node_netns, *pods})
            drops = self._drop.collect()
            losses = self._drop.losses(drops)
            attributed = attribute(drops, pods, self._node_netns, self._resolve)
        tally = None
        if self._dns is not None:
            tally = self._watch.close_window(time.monotonic_ns())
        return Sensed(found, drops, attributed, losses, tally, self._counters(found))

    def columns(self, edges: Edges, sensed: Sensed) -> tuple[Edges, dict[str, ColumnData]]:
        """The edges, with those added that only the sockets know, and every column of these hooks, (n,) each."""
        if sensed.health is None:
            joined, figures = edges, {name: np.zeros(len(edges), np.uint64) for name in health.COLUMNS}
        else:
            joined, figures = health.onto(edges, sensed.health)
        known = np.asarray((joined.keys["protocol"] == Protocol.TCP) & (sensed.health is not None))
        result: dict[str, ColumnData] = {
            name: Maybe(column, known & (column > 0) if name in _UNKNOWN_WHEN_ZERO else known)
            for name, column in figures.items()
        }
        result["drops"] = _drops_column(joined, sensed)
        result["dst_dns_name"] = server_names(joined, self._watch.names, time.monotonic_ns())
        result["src_dns_name"] = Words(np.zeros(len(joined), np.intp), (None,))
        return joined, result

    def drop_reason(self, number: int) -> str:
        """The kernel's name of a reason, such as `netfilter_drop`."""
        return self._drop.reason(number) if self._drop is not None else str(number)

    def close(self) -> None:
        for part in (self._sock, self._drop, self._dns, self._resolver):
            if part is not None:
                part.close()

    def _connections(self, interface_of: Mapping[int, int]) -> NDArray[Any]:
        assert self._sock is not None
        increments = self._sock.collect()
        outside = increments[health.on_the_wire(increments)]
        return self._waiting.sort(outside, interface_of.keys(), self._node_netns, time.monotonic_ns())

    def _resolve(self, keys: NDArray[Any]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
        if self._resolver is None:
            return np.zeros((len(keys), 8), np.uint64), np.zeros(len(keys), np.bool_)
        return self._resolver.resolve(keys)

    def _counters(self, found: Health | None) -> dict[str, int]:
        self._unresolved += found.unresolved if found is not None else 0
        totals: dict[str, int] = {
            "sock_unresolved": self._unresolved,
            "sock_of_no_pod": self._waiting.left_out,
        }
        readers: tuple[tuple[str, Callable[[], dict[str, int]] | None], ...] = (
            ("sock", self._sock.counters if self._sock else None),
            ("drop", self._drop.counters if self._drop else None),
            ("dns", self._dns.counters if self._dns else None),
            ("dns", self._watch.counters if self._dns else None),
        )
        for prefix, read in readers:
            if read is not None:
                totals.update({f"{prefix}_{name}": value for name, value in read().items()})
        return totals


def _off(name: str, columns: tuple[str, ...]) -> HookStatus:
    return HookStatus(name, "off", None, columns)


def _open_sock(
    choice: Choice, flow_maps: Mapping[str, int]
) -> tuple[Resolver | None, sock_hook.SockHook | None, HookStatus]:
    try:
        resolver: Resolver | None = Resolver(flow_maps)
    except (LoadError, OSError) as error:
        log.warning("connections cannot be joined to their edges and stay on rows of their own: %s", error)
        resolver = None
    if choice.cgroup is None:
        return resolver, None, _off("sock_ops", health.COLUMNS)
    opened, status = sock_hook.open_or_status(choice.cgroup)
    return resolver, opened, status


def _drops_column(edges: Edges, sensed: Sensed) -> Maybe:
    """Packets lost on each edge; those of no edge are in `Sensed.drops` only."""
    packets = np.zeros(len(edges), np.uint64)
    if sensed.drops is None or sensed.attributed is None or sensed.losses is None:
        return Maybe(packets, np.zeros(len(edges), np.bool_))
    row_of = {words.tobytes(): row for row, words in enumerate(edges.words)} if len(sensed.drops) else {}
    for i in np.flatnonzero(sensed.attributed.has_edge & sensed.losses).tolist():
        row = row_of.get(sensed.attributed.words[i].tobytes())
        if row is not None:
            packets[row] += sensed.drops["value"]["packets"][i]
    return Maybe(packets, np.ones(len(edges), np.bool_))
