"""When a probe's result becomes news: period and thresholds of the Kubernetes API (Probe), for any way of asking."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

Json = dict[str, Any]
FIRST_SECONDS: Final = 0.25  # how often a container is asked before it first answers, instead of every period


async def watch(kind: str, probe: Json, ask: Callable[[float], Awaitable[bool]], tell: Callable[[bool], None]) -> None:
    """Ask for ever, `tell` each change; a failed liveness probe ends it. `ask` gets the timeout in seconds."""
    period = float(probe.get("periodSeconds") or 10)
    timeout = float(probe.get("timeoutSeconds") or 1)
    needed = {True: int(probe.get("successThreshold") or 1), False: int(probe.get("failureThreshold") or 3)}
    liveness = kind == "livenessProbe"
    state: bool | None = True if liveness else None
    row, last = 0, None
    await asyncio.sleep(float(probe.get("initialDelaySeconds") or 0) + (period if liveness else 0))
    while True:
        ok = await ask(timeout)
        row = row + 1 if ok == last else 1
        last = ok
        if ok != state and row >= needed[ok] and (ok or state is not None):
            state = ok
            tell(ok)
            if liveness and not ok:
                return
        await asyncio.sleep(FIRST_SECONDS if state is None else period)
