"""A kubelet's probes: httpGet and tcpSocket (grpc: the handshake) from the node's own address. Reports changes only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from eastwest.lab.healthloop import watch

Json = dict[str, Any]


class HealthChecks:
    """The probes of one node's pods, replaced as a whole; a probe that did not change keeps running."""

    def __init__(self, report: Callable[[Json], None]) -> None:
        self._report = report
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def replace(self, wanted: dict[str, Json]) -> None:
        """`wanted`: key -> {uid, container, kind, ip, port, probe}; the key changes with each container start."""
        for key in [k for k in self._tasks if k not in wanted]:
            self._tasks.pop(key).cancel()
        for key, check in wanted.items():
            if key not in self._tasks:
                self._tasks[key] = asyncio.get_running_loop().create_task(self._watch(check))

    async def _watch(self, check: Json) -> None:
        async def ask(timeout: float) -> bool:
            return await once(check["ip"], check["port"], check["probe"], timeout)

        def tell(ok: bool) -> None:
            self._report({"event": "probe", "uid": check["uid"], "container": check["container"],
                          "kind": check["kind"], "ok": ok})  # fmt: skip

        await watch(check["kind"], check["probe"], ask, tell)


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
                head = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: kube-probe/1.33\r\n"
                writer.write(f"{head}Connection: close\r\n\r\n".encode())
                status = (await reader.readline()).split()
                return len(status) > 1 and status[1].isdigit() and 200 <= int(status[1]) < 400
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return False
