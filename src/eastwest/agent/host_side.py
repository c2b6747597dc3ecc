"""The node itself and its host-network pods, beside the pods' interfaces: opened, refreshed and closed together."""

from __future__ import annotations

from eastwest.agent import host, host_pods, owners
from eastwest.agent.bpffs import PinFolder
from eastwest.agent.hooks_choice import cgroup_root
from eastwest.agent.kernel import FlowKernel
from eastwest.agent.optional_hooks import OptionalHooks
from eastwest.model.batch import HookStatus


class HostSide:
    """`pods` is None where host-network pods cannot be told from the node; `statuses` says why."""

    def __init__(self, kernel: FlowKernel, pins: PinFolder | None, hooks: OptionalHooks, *, wanted: bool) -> None:
        """Not `wanted`: what a predecessor left is removed, and nothing is recorded. Never raises for what the kernel
        refuses."""
        self._hook: host.HostHook | None = None
        self.pods: host_pods.HostPods | None = None
        self._status, self._pods_status = HookStatus(host.NAME, "off"), HookStatus(owners.NAME, "off")
        if not wanted:
            host.forget(pins)
            return
        self._hook, self._status = host.open_or_status(kernel, pins)
        if self._hook is None:
            return
        self.pods, self._pods_status = host_pods.open_or_status(kernel.maps["owners"], cgroup_root())
        if self.pods is not None:
            hooks.owners, hooks.look = self.pods.owners.of_cgroups, self.pods.look
            self.pods.tell(host_pods.accepting_sockets())

    @property
    def recorded(self) -> bool:
        """Whether the node's own traffic is."""
        return self._hook is not None

    @property
    def statuses(self) -> tuple[HookStatus, HookStatus]:
        return self._status, self.pods.status if self.pods is not None else self._pods_status

    def refresh(self) -> None:
        """Addresses and accepting sockets as they are now."""
        if self._hook is not None:
            self._hook.refresh()
        if self.pods is not None:
            self.pods.tell(host_pods.accepting_sockets())

    def poll(self) -> None:
        if self.pods is not None:
            self.pods.poll()

    def unhook(self, *, keep: bool) -> None:
        """Before the last window; `keep`: what is pinned goes on counting."""
        if self._hook is not None:
            self._hook.close(keep=keep)

    def close(self) -> None:
        """After the last window."""
        if self.pods is not None:
            self.pods.close()
