"""Which hooks this kernel accepts, found by trying each: nothing is left attached."""

from __future__ import annotations

import os
from typing import Final

from eastwest.agent import bpf, loader
from eastwest.agent.kernel import FlowKernel, Sizes
from eastwest.model.batch import HookStatus
from eastwest.model.schema import AGENT_COLUMNS, Role

_LOOPBACK: Final = 1
_EVERYTHING: Final = tuple(c.name for c in AGENT_COLUMNS if c.role is Role.MEASURE)


def probe() -> tuple[HookStatus, ...]:
    """The hooks of the flow object: `tcx` carries everything; `conntrack` names the backend of a Service."""
    try:
        kernel = FlowKernel(Sizes(64, 64, 64))
    except (loader.LoadError, OSError) as error:
        return (HookStatus("tcx", "refused", str(error), _EVERYTHING),)
    try:
        return tuple(_try_tcx(kernel) if hook.name == "tcx" else hook for hook in kernel.hooks)
    finally:
        kernel.close()


def _try_tcx(kernel: FlowKernel) -> HookStatus:
    """Attach to the loopback for a moment; its books do not exist, so nothing is counted."""
    try:
        os.close(bpf.attach_tcx(kernel.programs["ew_from_pod"], _LOOPBACK, bpf.TCX_INGRESS))
    except OSError as error:
        return HookStatus("tcx", "refused", str(error), _EVERYTHING)
    return HookStatus("tcx", "on")
