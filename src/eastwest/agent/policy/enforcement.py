"""Enforcement of one node, put together: the kept plan, the server's, the tables, and word of what is in force.

The agent starts it after the kernel objects are loaded and before links are watched, and stops it after.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace

from eastwest.agent.bpffs import PinFolder
from eastwest.agent.interfaces import Interfaces
from eastwest.agent.kernel import FlowKernel
from eastwest.agent.metrics.node import PolicyHealth
from eastwest.agent.policy import counts, forward, surroundings
from eastwest.agent.policy.choice import EnforceConfig
from eastwest.agent.policy.cni_socket import CniSocket
from eastwest.agent.policy.enforcer import Enforcer
from eastwest.agent.policy.events import EventLog, PodName
from eastwest.agent.policy.fetch import PlanFetcher
from eastwest.agent.policy.in_force import EGRESS, INGRESS
from eastwest.agent.policy.keep import AnnouncedFile, PlanFile
from eastwest.agent.policy.reasons import ReasonBook
from eastwest.agent.policy.tables import Tables
from eastwest.agent.policy.tell import Teller
from eastwest.model.batch import HookStatus
from eastwest.model.realised import Realised
from eastwest.wire.batch import Columns

log = logging.getLogger("eastwest.agent")


class Enforcement:
    """Writes nothing until `start`. `kernel` enforces, and outlives this; `limits` as for `Tables`."""

    def __init__(
        self,
        config: EnforceConfig,
        kernel: FlowKernel,
        limits: Mapping[str, int],
        interfaces: Interfaces,
        pins: PinFolder | None,
        *,
        server: str,
        token: Callable[[], str],
        cluster: str,
        node: str,
    ) -> None:
        self._config, self._node, self._interfaces = config, node, interfaces
        self.book = ReasonBook()
        self._tables = Tables(kernel.maps, limits)
        self._forward, seen = forward.open_or_status(kernel, pins)
        self._pins = pins
        self._capability = (HookStatus(INGRESS, "on"), HookStatus(EGRESS, seen.state, seen.reason))
        self.enforcer = Enforcer(
            self._tables,
            interfaces,
            self.book,
            PlanFile(config.state, node),
            AnnouncedFile(config.state),
            self._capability,
            self._told,
        )
        self._teller = Teller(server=server, token=token, cluster=cluster, node=node)
        self._server, self._token, self._cluster = server, token, cluster
        self._fetcher: PlanFetcher | None = None
        self._cni = CniSocket(config.cni_socket, self.enforcer, interfaces) if config.cni_socket is not None else None
        self._last: Realised | None = None
        self.events = EventLog(config.log, self.book, cluster, node)

    @property
    def capability(self) -> tuple[HookStatus, ...]:
        """Which directions can be enforced here, and what limits them as far as packets have shown by now."""
        if self._forward is None or not self._forward.counters()["zoned"]:
            return self._capability
        return tuple(replace(s, reason=forward.ZONES) if s.name == EGRESS else s for s in self._capability)

    def start(self) -> None:
        """Put the kept plan in force and follow the server's. Raises OSError."""
        self._interfaces.may_begin = surroundings.may_be_a_pods
        self._teller.start()
        self.enforcer.start()
        if self._forward is not None:
            self._forward.take_over()
        elif self._pins is not None:
            forward.release(self._pins)
        if self._tables.generation == 0:
            log.warning(
                "nothing is enforced on this node until the server sends a plan: none is kept in %s", self._config.state
            )
        self._fetcher = PlanFetcher(
            self.enforcer.plan,
            server=self._server,
            token=self._token,
            cluster=self._cluster,
            node=self._node,
            plan=self.enforcer.newest,
            answered=self._tell_again,
        )
        self._fetcher.start()
        if self._cni is not None:
            self._cni.start()

    def stop(self) -> None:
        """Write nothing more and say nothing more; what is in force stays so until `close`."""
        if self._cni is not None:
            self._cni.stop()
        if self._fetcher is not None:
            self._fetcher.stop()
        self.enforcer.stop()
        self._teller.stop()
        self._tables.close()

    def close(self, *, keep: bool = False) -> None:
        """Take the program off FORWARD, unless its pins are kept."""
        if self._forward is not None:
            self._forward.close(keep=keep)

    def window(self, columns: Columns, start_ns: int, end_ns: int) -> PolicyHealth:
        """A window was closed: log what policies did, and say how enforcement is."""
        force = self.enforcer.in_force
        pods = force.plan.pods if force is not None else ()
        names = {p.uid: PodName(p.namespace, p.name) for p in pods}
        self.events.window(columns, end_ns, (end_ns - start_ns) / 1e9, names)
        now = self.realised
        return PolicyHealth(
            generation=now.generation,
            version=now.version,
            waiting={
                "ingress": sum(p.ingress is not None for p in now.pods),
                "egress": sum(p.egress is not None for p in now.pods),
            },
            refused=now.refused is not None,
            answers=dict(self._fetcher.answers) if self._fetcher is not None else {},
            log_left_out=self.events.left_out,
            apply_seconds=self.enforcer.take_apply_seconds(),
            packets=counts.by_policy(columns, self.book),
        )

    def counters(self) -> dict[str, int]:
        """Packets at FORWARD by what became of them, since start; those of pods that no plan knows are in no record."""
        return (
            {f"forward_{name}": n for name, n in self._forward.counters().items()} if self._forward is not None else {}
        )

    def complaints(self) -> list[str]:
        """What is not well, in words."""
        found = []
        if self._fetcher is not None and not (self.enforcer.alive and self._fetcher.alive):
            found.append("enforcement follows nothing any more: restart the agent")
        if self.enforcer.complaint:
            found.append(f"enforcement is not up to date: {self.enforcer.complaint}")
        if self._fetcher is not None and self._fetcher.complaint:
            found.append(f"no news of the plan: {self._fetcher.complaint}")
        if self._last is not None and self._last.refused is not None:
            found.append(f"plan {self._last.refused.version} is not in force: {self._last.refused.reason}")
        found += self.enforcer.unkept
        if self.events.complaint:
            found.append(f"the policy log cannot be written, its lines are left out: {self.events.complaint}")
        return found

    @property
    def realised(self) -> Realised:
        return self.enforcer.realised(self._node)

    def _tell_again(self) -> None:
        """A server that was started again has forgotten what it was told."""
        self._teller.say(self.realised)

    def _told(self) -> None:
        now = self.realised
        if now != self._last:
            self._last = now
            self._teller.say(now)
