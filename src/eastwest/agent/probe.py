"""Which hooks this kernel accepts, found by trying each: nothing is left attached."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from eastwest.agent import backends, host, host_pods, loader, privileges
from eastwest.agent.hooks_choice import Choice, cgroup_root
from eastwest.agent.kernel import FlowKernel
from eastwest.agent.optional_hooks import OptionalHooks
from eastwest.agent.policy import forward
from eastwest.agent.sizes import Sizes
from eastwest.model.batch import HookStatus
from eastwest.model.schema import AGENT_COLUMNS, Role

_LOOPBACK: Final = 1
_EVERYTHING: Final = tuple(c.name for c in AGENT_COLUMNS if c.role is Role.MEASURE)


def probe(choice: Choice, *, enforce: bool = False) -> tuple[HookStatus, ...]:
    """`tcx` carries everything; `conntrack` names the backend of a Service; then the optional hooks of `choice`; then,
    to `enforce`, each direction; then the node itself and its pods, where `choice` has them."""
    try:
        allowed = privileges.effective()
        privileges.require(allowed)
        kernel = FlowKernel(Sizes(64, 64, 64), enforcing=enforce)
    except (loader.LoadError, OSError) as error:
        return (HookStatus("tcx", "refused", str(error), _EVERYTHING),)
    try:
        kernel.attach_by("auto")
        hooks = _with_netlink(kernel.hooks) + _try_optional(kernel, choice) + (_try_policy(kernel) if enforce else ())
        hooks += _try_host(kernel) if choice.host else ()
        return hooks + privileges.lacking(allowed)
    finally:
        kernel.close()


def _with_netlink(hooks: tuple[HookStatus, ...]) -> tuple[HookStatus, ...]:
    """As the agent would name Services: the dump that stands in for a refused read is really asked for."""
    netlink = backends.instead(hooks)
    return hooks if netlink is None else netlink.among(hooks)


def _try_optional(kernel: FlowKernel, choice: Choice) -> tuple[HookStatus, ...]:
    hooks = OptionalHooks(choice, kernel.maps, Path("/proc/self/ns/net").stat().st_ino)
    hooks.close()
    return hooks.statuses


def _try_policy(kernel: FlowKernel) -> tuple[HookStatus, ...]:
    hook, egress = forward.open_or_status(kernel)
    if hook is not None:
        hook.close()
    return HookStatus("policy-ingress", "on"), HookStatus("policy-egress", egress.state, egress.reason)


def _try_host(kernel: FlowKernel) -> tuple[HookStatus, ...]:
    hook, status = host.open_or_status(kernel, None)
    if hook is None:
        return (status,)
    hook.close()
    pods, pods_status = host_pods.open_or_status(kernel.maps["owners"], cgroup_root())
    if pods is not None:
        pods.close()
    return status, pods_status
