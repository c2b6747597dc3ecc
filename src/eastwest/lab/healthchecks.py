"""A kubelet's probes: httpGet and tcpSocket from the node's own address, with the thresholds of the Kubernetes API.

Until a container first answers, readiness and startup are asked every `FIRST_SECONDS` instead of every period, so that
a lab is ready when its pods are. Reports changes only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

Json = dict[str, Any]
FIRST_SECONDS: Final = 0.25
KINDS: Final = ("startupProbe", "readinessProbe", "livenessProbe")


class HealthChecks:
    """The probes of one node's pods, replaced as a whole; a probe that did not change keeps running."""

    def __init__(self, report: Callable[[Json], None]) -> None:
        self._report = report
        self._tasks: dict[str, tuple[Json, asyncio.Task[None]]] = {}

    def replace(self, wanted: dict[str, Json]) -> None:
        """`wanted`: key -> {uid, container, kind, ip, port, probe}; the key changes with each container start."""
        for key in [k for k in self._tasks if k not in wanted]:
            self._tasks.pop(key)[1].cancel()
        for key, check in wanted.items():
            if key not in self._tasks:
                task = asyncio.get_running_loop().create_task(self._watch(check))
                self._tasks[key] = (check, task)

    async def _watch(self, check: Json) -> None:
        probe = check["probe"]
        period = float(probe.get("periodSeconds") or 10)
        timeout = float(probe.get("timeoutSeconds") or 1)
        needed = {True: int(probe.get("successThreshold") or 1), False: int(probe.get("failureThreshold") or 3)}
        ready_kind = check["kind"] != "livenessProbe"
        state: bool | None = None if ready_kind else True
        row, last = 0, None
        await asyncio.sleep(float(probe.get("initialDelaySeconds") or 0))
        if not ready_kind:
            await asyncio.sleep(period)
        while True:
            ok = await once(check["ip"], check["port"], probe, timeout)
            row = row + 1 if ok == last else 1
            last = ok
            if ok != state and row >= needed[ok] and not (state is None and not ok):
                state = ok
                self._report({"event": "probe", "uid": check["uid"], "container": check["container"],
                              "kind": check["kind"], "ok": ok})  # fmt: skip
                if not ok and not ready_kind:
                    return
            await asyncio.sleep(FIRST_SECONDS if state is None else period)


async def once(ip: str, port: int, probe: Json, timeout: float) -> bool:
    """One probe: for httpGet a status from 200 to 399, for the rest a TCP handshake."""
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(ip, port)
            try:
                if "httpGet" not in probe:
                    return True
                path = probe["httpGet"].get("path") or "/"
                host = f"[{ip}]" if ":" in ip else ip
                head = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: kube-probe/1.33\r\nConnection: close\r\n\r\n"
                writer.write(head.encode())
                status = (await reader.readline()).split()
                return len(status) > 1 and status[1].isdigit() and 200 <= int(status[1]) < 400
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return False
