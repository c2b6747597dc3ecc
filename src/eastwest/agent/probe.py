"""Which hooks this kernel accepts, found by trying each: nothing is left attached."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from eastwest.agent import backends, loader, privileges
from eastwest.agent.hooks_choice import Choice
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
    to `enforce`, each direction."""
    try:
        allowed = privileges.effective()
        privileges.require(allowed)
        kernel = FlowKernel(Sizes(64, 64, 64), enforcing=enforce)
    except (loader.LoadError, OSError) as error:
        return (HookStatus("tcx", "refused", str(error), _EVERYTHING),)
    try:
        kernel.attach_by("auto")
        hooks = _with_netlink(kernel.hooks) + _try_optional(kernel, choice) + (_try_policy(kernel) if enforce else ())
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
