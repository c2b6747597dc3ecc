"""The thread that follows links and pods: attaches what appears, finds whose it is, reads its listening sockets.

Attaching blocks about 12 ms a hook (an RCU grace period), so it happens here and never in the tick.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections.abc import Callable
from typing import Final

from eastwest.agent import listeners, netlink, pods
from eastwest.agent.interfaces import Interface, Interfaces, State
from eastwest.agent.kernel import FlowKernel
from eastwest.agent.pods import PodProcess

log = logging.getLogger("eastwest.agent")
RELIST_S: Final = 10.0
LISTENERS_S: Final = 15.0
NAMING_S: Final = 0.25  # while there is more to attach


class Watcher:
    """Inert until `start`; must be started in the node's network namespace."""

    def __init__(
        self,
        kernel: FlowKernel,
        interfaces: Interfaces,
        adopt: Callable[[int], None] = lambda _: None,
        changed: Callable[[], None] = lambda: None,
        refresh_host: Callable[[], None] = lambda: None,
    ) -> None:
        """`adopt` gets an open descriptor of a pod's network namespace, once, when the pod was found. `changed` is told
        when an interface was hooked or is gone, and when a pod was found. `refresh_host`: with the listening sockets."""
        self._refresh_host = refresh_host
        self._kernel, self._interfaces, self._adopt, self._changed = kernel, interfaces, adopt, changed
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._stopping = threading.Event()
        self._settled = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self._relist_at = self._listeners_at = self._name_at = 0.0
        self.attached = 0  # interfaces attached since start
        self.attach_failures = 0

    def look(self) -> None:
        """Find out, once and before `start`, which links there are and whose they are; attaches nothing."""
        now, ids = time.monotonic(), netlink.NamespaceIds()
        try:
            for ifindex in self._interfaces.listed(netlink.list_links(), now):
                self._vanished(ifindex)
            self._name(ids, now)
        finally:
            ids.close()

    def start(self, wait_s: float = 30.0) -> None:
        """Attach to everything that is there, then return and go on watching."""
        self._thread.start()
        self._settled.wait(wait_s)

    def stop(self) -> None:
        """Stop watching; hooks stay attached until `detach`."""
        self._stopping.set()
        os.write(self._wake_write, b"x")
        self._thread.join()

    def detach(self, *, keep: bool = False) -> None:
        """Unhook everything, or leave all pinned hooks to a successor. After `stop`."""
        for interface in self._interfaces.snapshot():
            if keep:
                for hook in self._interfaces.take_hooks(interface):
                    hook.leave()
            else:
                unhook(self._interfaces, interface)
        os.close(self._wake_read)
        os.close(self._wake_write)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    # --- the thread ------------------------------------------------------------------------------------------------
    def _run(self) -> None:
        events, ids = netlink.LinkEvents(), netlink.NamespaceIds()
        poll = select.poll()
        poll.register(events, select.POLLIN)
        poll.register(self._wake_read, select.POLLIN)
        try:
            while not self._stopping.is_set():
                try:
                    self._step(events, ids)
                except OSError:
                    log.exception("watching links failed; trying again")
                    self._relist_at = 0.0
                    self._stopping.wait(1.0)
                if self._interfaces.to_attach() is None:
                    self._settled.set()
                    poll.poll(self._pause_s() * 1000)
        finally:
            self._settled.set()
            events.close()
            ids.close()

    def _step(self, events: netlink.LinkEvents, ids: netlink.NamespaceIds) -> None:
        """Hook one interface, if one waits: whose it is can be found out later. In a burst, names come now and then."""
        now = time.monotonic()
        self._follow(events, now)
        new = self._interfaces.to_attach()
        if new is not None:
            self._attach(new)
        settled = self._interfaces.to_attach() is None
        if settled or now >= self._name_at:
            self._name_at = now + NAMING_S
            self._name(ids, now)
        if settled and now >= self._listeners_at:
            self._listeners_at = now + LISTENERS_S
            self._read_listeners()

    def _pause_s(self) -> float:
        now = time.monotonic()
        due = [self._relist_at, self._listeners_at]
        retry = self._interfaces.next_try_s()
        return max(0.0, min([*due, retry] if retry is not None else due) - now) + 0.001

    def _follow(self, events: netlink.LinkEvents, now: float) -> None:
        try:
            for event in events.read():
                if event.gone:
                    self._vanished(event.link.ifindex)
                else:
                    self._interfaces.appeared(event.link, now)
        except netlink.OverrunError:
            log.warning("link events were lost; listing all links again")
            self._relist_at = 0.0
        if now >= self._relist_at:
            self._relist_at = now + RELIST_S
            for ifindex in self._interfaces.listed(netlink.list_links(), now):
                self._vanished(ifindex)

    def _vanished(self, ifindex: int) -> None:
        interface = self._interfaces.vanished(ifindex)
        if interface is not None:
            self._changed()
            unhook(self._interfaces, interface)

    def _name(self, ids: netlink.NamespaceIds, now: float) -> None:
        unnamed = self._interfaces.unnamed(now)
        if not unnamed:
            return
        wanted = {i.link.peer_nsid for i in unnamed if i.link.peer_nsid is not None}
        inhabited: set[int] = set()
        found = pods.find(wanted, ids.find, inhabited=inhabited)
        for interface in unnamed:
            pod = found.get(interface.link.peer_nsid) if interface.link.peer_nsid is not None else None
            self._interfaces.named(interface, pod, now, empty=interface.link.peer_nsid not in inhabited)
            if pod is not None:
                self._note(interface)
                log.info("interface %s belongs to pod %s", interface.link.name, pod.uid)
                self._changed()
                self._read_one(interface, pod)
                self._adopt_sockets(pod)

    def _adopt_sockets(self, pod: PodProcess) -> None:
        try:
            netns_fd = os.open(f"/proc/{pod.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return  # that process has ended, and with it what it had open
        try:
            self._adopt(netns_fd)
        finally:
            os.close(netns_fd)

    def _attach(self, interface: Interface) -> None:
        held = self._interfaces.attaching(interface)
        try:
            self._kernel.add_interface(interface.ifindex, held=held)
            interface.hooks = self._kernel.attach(interface.ifindex)
            self._note(interface)
            self.attached += 1
            self._changed()
        except OSError as error:
            self.attach_failures += 1
            log.warning("interface %s cannot be attached: %s", interface.link.name, error)
            self._kernel.remove_interface(interface.ifindex)
            self._interfaces.failed(interface)

    def _note(self, interface: Interface) -> None:
        """Once an interface counts and its pod is known, a successor knows it too: both may have ended by then."""
        if interface.hooks and interface.pod is not None:
            pod = interface.pod
            self._kernel.journal.named(interface.ifindex, interface.link.name, pod.uid, pod.netns)

    # --- listening sockets -----------------------------------------------------------------------------------------
    def _read_listeners(self) -> None:
        self._refresh_host()
        for interface in self._interfaces.snapshot():
            if interface.pod is not None and interface.state is State.LIVE and not interface.gone:
                self._read_one(interface, interface.pod)

    def _read_one(self, interface: Interface, pod: PodProcess) -> None:
        ports = listeners.read(pod.pid)
        if ports is None:  # that process has ended; another one of the pod is found when listeners are read next
            interface.pod = self._successor(interface, pod)
            return
        try:
            self._kernel.set_listeners(interface.ifindex, ports, interface.listeners)
            interface.listeners = ports
        except OSError as error:
            log.warning("listening sockets of %s are not all known: %s", interface.link.name, error)

    def _successor(self, interface: Interface, pod: PodProcess) -> PodProcess:
        nsid = interface.link.peer_nsid
        if nsid is None:
            return pod
        ids = netlink.NamespaceIds()
        try:
            other = pods.find({nsid}, ids.find).get(nsid)
        finally:
            ids.close()
        return other if other is not None and other.uid == pod.uid else pod


def unhook(interfaces: Interfaces, interface: Interface) -> None:
    """Take the programs off an interface, if they are still on."""
    for hook in interfaces.take_hooks(interface):
        hook.remove()
