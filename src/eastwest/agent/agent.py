"""The agent of one node: kernel, watcher, recorder, shipper and metrics, started and stopped in order.

Runs in the node's network namespace, which is its caller's to choose. Never talks to the Kubernetes API.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from eastwest import __version__
from eastwest.agent import adoption, netlink, privileges
from eastwest.agent.bpffs import PinFolder
from eastwest.agent.config import Config
from eastwest.agent.dns import hook as dns_hook
from eastwest.agent.handover import Handover
from eastwest.agent.hooks_choice import Choice
from eastwest.agent.hooks_left import hooks_digest
from eastwest.agent.host_side import HostSide
from eastwest.agent.interfaces import Interfaces
from eastwest.agent.kernel import FlowKernel
from eastwest.agent.metrics.agent import AgentMetrics
from eastwest.agent.metrics.exporter import Exporter
from eastwest.agent.metrics.fetch import NameFetcher
from eastwest.agent.metrics.names import PodNames
from eastwest.agent.metrics.node import Health, PolicyHealth
from eastwest.agent.metrics.of_window import active_flows, hook_totals, pod_events
from eastwest.agent.optional_hooks import OptionalHooks, interfaces_by_namespace
from eastwest.agent.outbox import Outbox
from eastwest.agent.policy import forward
from eastwest.agent.policy.choice import EnforceConfig
from eastwest.agent.recorder import Recorder, Window
from eastwest.agent.shipper import Shipper
from eastwest.agent.spool import HandedOver, Spool
from eastwest.agent.watcher import Watcher
from eastwest.model.batch import BatchHeader, HookStatus
from eastwest.wire.batch import encode_records
from eastwest.wire.client import Client

if TYPE_CHECKING:
    from eastwest.agent.policy.enforcement import Enforcement

log = logging.getLogger("eastwest.agent")
LAST_SHIPPING_S: Final = 3.0
POLL_S: Final = 0.1
AGENT_ENDED: Final = "agent_ended"
"""Cause of loss: windows that waited in the memory of an agent when it ended."""


class Agent:
    """Inert until `start`. `run` ticks until `stop` is called from anywhere."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._token_read = ("", 0.0)
        self._boot_id = uuid.uuid4().hex
        self._stopping = threading.Event()
        self._interfaces = Interfaces()
        self._spool = Spool(config.spool) if config.spool is not None else None
        self._outbox = Outbox(config.buffer_bytes, self._spool, config.spool_bytes)
        self._outbox.boot(self._boot_id)
        self._shipper = Shipper(self._outbox, self._client)
        self._names = PodNames()
        self._metrics = AgentMetrics(
            cluster=config.cluster,
            node=config.node,
            version=__version__,
            boot_id=self._boot_id,
            started_s=time.time(),
            names=self._names,
            reference_names=config.reference_metrics,
        )
        self._name_fetcher = NameFetcher(
            self._names,
            self._metrics.nameless,
            server=config.server,
            token=self._token,
            cluster=config.cluster,
            node=config.node,
        )
        self._exporter = (
            Exporter(config.listen, self._metrics.render, self.complaints) if config.listen is not None else None
        )
        self._ticked_at = time.monotonic()

    def start(self) -> None:
        """Load, attach to every pod that is there, and begin to count. Raises LoadError, PinError, OSError, ValueError."""
        self._client()
        if self._exporter is not None:
            self._exporter.open()  # an address that cannot be had is said before anything is in the kernel
        allowed = privileges.effective()
        privileges.require(allowed)
        self._lacking = privileges.lacking(allowed)
        waiting = self._outbox.resume(self._config.cluster, self._config.node)
        if waiting:
            log.info("%d windows were on disk and will be sent first", waiting)
        self._pins = PinFolder(self._config.pin) if self._config.pin is not None else None
        handed_over = self._spool.handed_over() if self._spool is not None else None
        self._kernel = FlowKernel(
            self._config.sizes,
            self._config.patience,
            enforcing=self._config.enforce is not None,
            policy=self._config.policy_sizes,
            pins=self._pins,
            handed_over=handed_over,
            dns_ports=self._config.dns_ports,
        )
        self._kernel.attach_by(self._config.attach)
        self._kernel.sweep()
        self._declare_left_waiting()
        self._enforcement = self._enforce(self._config.enforce) if self._config.enforce is not None else None
        netns = Path("/proc/self/ns/net").stat().st_ino
        self._hooks = self._open_hooks(netns)
        self._host = HostSide(self._kernel, self._pins, self._hooks, wanted=self._config.host)
        enforcement = self._enforcement
        self._watcher = Watcher(
            self._kernel,
            self._interfaces,
            self._hooks.adopt,
            enforcement.enforcer.poke if enforcement is not None else lambda: None,
            self._host.refresh,
        )
        self._recorder = Recorder(
            self._kernel,
            self._interfaces,
            self._hooks,
            self._config.cluster,
            self._config.node,
            enforcement.book.words if enforcement is not None else None,
            self._config.edge_budget,
            self._host.pods,
        )
        if self._exporter is not None:
            self._exporter.start()
            self._name_fetcher.start()
        left = adoption.adopt(self._kernel, self._interfaces, netns if self._host.recorded else None)
        if enforcement is not None:
            self._watcher.look()  # a predecessor may have been killed before it told whose an interface is
            enforcement.start()  # what is planned is in force before our programs take over
        elif self._pins is not None:
            forward.release(self._pins)
        self._taken_over = adoption.swap(self._kernel, self._interfaces, left)
        if self._taken_over:
            log.info("%d interfaces are taken over from the agent before, without a gap", self._taken_over)
        self._watcher.start()
        self._shipper.start()
        self._say_what_runs()

    def _open_hooks(self, netns: int) -> OptionalHooks:
        """Those beside flow; DNS is lent to the flow program."""
        choice = Choice(
            self._config.cgroup,
            drops=self._config.drops,
            dns=self._config.dns,
            dns_ports=self._config.dns_ports,
            host=self._config.host,
        )
        hooks = OptionalHooks(choice, self._kernel.maps, netns, self._handover())
        if hooks.dns is not None:
            hooks.dns.lend(self._kernel.maps["dns_tail"])
        else:
            dns_hook.take_back(self._kernel.maps["dns_tail"])
        return hooks

    def _say_what_runs(self) -> None:
        for hook in self._all_hooks():
            if hook.state == "refused":
                log.warning(
                    "this kernel refuses %s (%s); unknown without it: %s",
                    hook.name,
                    hook.reason,
                    ", ".join(hook.columns) or "nothing",
                )
        log.info(
            "recording %d interfaces of node %s every %g s",
            self._taken_over + self._watcher.attached,
            self._config.node,
            self._config.tick_s,
        )

    def _handover(self) -> Handover:
        journal = self._kernel.journal
        return Handover(self._pins, hooks_digest(), journal.committed if journal.adopted else None)

    def _declare_left_waiting(self) -> None:
        """What a predecessor had in memory when it ended, and from now on what we have."""
        journal = self._kernel.journal
        left = journal.left_waiting()
        if left is not None:
            self._outbox.declare(AGENT_ENDED, *left)
        self._outbox.remember(journal.waiting)

    def run(self) -> None:
        """One window a tick, until stopped; then the last window, and everything is let go."""
        if self._kernel.interrupted is not None:
            self._tick()
        due = time.monotonic() + self._config.tick_s
        while not self._wait(due):
            self._tick()
            due = max(due + self._config.tick_s, time.monotonic())
        self._close()

    def _wait(self, due: float) -> bool:
        """Until `due` (time.monotonic), emptying the rings now and then; True when stopped before."""
        while not self._stopping.wait(min(POLL_S, max(0.0, due - time.monotonic()))):
            if time.monotonic() >= due:
                return False
            self._hooks.poll(lambda: interfaces_by_namespace(self._interfaces.snapshot()))
            self._host.poll()
        return True

    def _all_hooks(self) -> tuple[HookStatus, ...]:
        refused = (self._recorder.refusal,) if self._recorder.refusal else ()
        return (
            *self._recorder.kernel_hooks,
            *self._hooks.statuses,
            *self._host.statuses,
            HookStatus("pins", "on" if self._pins is not None else "off"),
            *(self._enforcement.capability if self._enforcement else ()),
            *refused,
            *self._lacking,
        )

    def _enforce(self, config: EnforceConfig) -> Enforcement:
        from eastwest.agent.policy.enforcement import Enforcement  # 4 MiB that an agent without it does not need

        return Enforcement(
            config,
            self._kernel,
            asdict(self._config.policy_sizes),
            self._interfaces,
            self._pins,
            server=self._config.server,
            token=self._token,
            cluster=self._config.cluster,
            node=self._config.node,
        )

    def stop(self) -> None:
        """Make `run` return; safe in a signal handler."""
        self._stopping.set()

    def complaints(self) -> list[str]:
        """What is not well, in words; empty when all is."""
        found = []
        late_s = time.monotonic() - self._ticked_at
        if late_s > 3 * self._config.tick_s + 5:
            found.append(f"no window was closed for {late_s:.0f} s")
        if not self._watcher.alive:
            found.append("links are not watched any more: new pods are not recorded")
        if self._outbox.complaint:
            found.append(f"the spool cannot be written: {self._outbox.complaint}")
        if self._shipper.complaint:
            found.append(f"the server did not take the last batch: {self._shipper.complaint}")
        if self._enforcement is not None:
            found += self._enforcement.complaints()
        return found

    def _client(self) -> Client:
        """A client with the token as it is now: tokens are rotated by rewriting their file."""
        return Client(self._config.server, self._token())

    def _token(self) -> str:
        return self._config.token_file.read_text().strip()

    def _tick(self, *, final: bool = False) -> None:
        started = time.monotonic()
        window = self._recorder.close_window(final=final)
        header = self._header(window)
        drain = HandedOver(self._kernel.journal.id, self._kernel.journal.number, window.end_ns)
        self._outbox.put(header, encode_records(window.columns, window.rows), window.recorded, drain)
        self._recorder.commit()
        self._ticked_at = time.monotonic()
        policy = None
        if self._enforcement is not None:
            policy = self._enforcement.window(window.columns, window.start_ns, window.end_ns)
        self._publish(header, window, self._ticked_at - started, policy)

    def _header(self, window: Window) -> BatchHeader:
        return BatchHeader(
            cluster=self._config.cluster,
            node=self._config.node,
            boot_id=self._boot_id,
            seq=0,  # the outbox numbers
            window_start_ns=window.start_ns,
            window_end_ns=window.end_ns,
            sent_at_ns=0,
            agent_version=__version__,
            records=window.rows,
            books=window.books,
            hooks=self._all_hooks(),
            node_addresses=netlink.list_addresses(),
        )

    def _publish(self, header: BatchHeader, window: Window, tick_seconds: float, policy: PolicyHealth | None) -> None:
        health = Health(
            tick_seconds=tick_seconds,
            flow_entries=window.drained.entries,
            flow_limit=self._config.sizes.flows,
            buffer_bytes=self._outbox.bytes,
            buffer_limit_bytes=self._outbox.limit_bytes,
            shipped_batches=self._shipper.shipped,
            shipping_failures=dict(self._shipper.outcomes),
            shipping_lost_bytes=dict(self._outbox.lost_bytes),
            hook_counters={**window.sensed.counters, **(self._enforcement.counters() if self._enforcement else {})},
            policy=policy,
        )
        more = pod_events(window, self._hooks.drop_reason)
        if self._enforcement is not None:
            from eastwest.agent.policy.counts import by_pod

            more += by_pod(window.columns)
        self._metrics.tick(header, window.columns, hook_totals(window), health, active_flows(window), more=more)

    def _close(self) -> None:
        keep = self._pins is not None and self._config.keep_pins
        self._watcher.stop()
        if self._enforcement is not None:
            self._enforcement.stop()
            if not keep:
                log.warning("enforcement of node %s ends with this agent: give --pin to keep it", self._config.node)
        self._watcher.detach(keep=keep)
        self._host.unhook(keep=keep)
        self._tick(final=not keep)
        self._recorder.close()
        self._host.close()
        self._shipper.stop(LAST_SHIPPING_S)
        if self._exporter is not None:
            self._name_fetcher.stop()
            self._exporter.stop()
        if self._enforcement is not None:
            self._enforcement.close(keep=keep)
        self._hooks.close()
        self._kernel.close()
        if self._pins is not None:
            if not keep:
                self._pins.clear()
            self._pins.close()
        if self._spool is not None:
            self._spool.close()
        log.info("stopped; counting goes on" if keep else "stopped")
