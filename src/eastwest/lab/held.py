"""The controller's side of held connections: one process each, by number."""

from __future__ import annotations

import itertools
from typing import Any

from eastwest.lab.channel import CallError
from eastwest.lab.containers import ready
from eastwest.lab.origin import Origin
from eastwest.lab.processes import Process, Processes
from eastwest.lab.state import LabError

Json = dict[str, Any]
PROTOCOLS = ("TCP", "UDP", "SCTP")


class HeldConnections:
    """See `hold` for what such a process does."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._held: dict[int, Process] = {}
        self._numbers = itertools.count(1)

    async def open(
        self, origin: Origin, address: str, port: int, protocol: str, interval_s: float, size_bytes: int
    ) -> int:
        """Its number, once it was opened or could not be. Raises LabError."""
        if protocol not in PROTOCOLS:
            raise LabError(f"cannot hold a connection of {protocol!r}; use {', '.join(PROTOCOLS)}")
        spec = {"cgroup": str(origin.cgroup), "pid": origin.process.pid, "address": address, "port": port,
                "protocol": protocol, "source": origin.address, "interval_s": interval_s,
                "size_bytes": max(8, size_bytes)}  # fmt: skip
        process = await self._processes.start("hold", spec, channel=True)
        try:
            await ready(process)
        except CallError as error:
            raise LabError(str(error)) from error
        number = next(self._numbers)
        self._held[number] = process
        return number

    async def report(self, number: int) -> Json:
        """Raises LabError when its process is gone, for instance with its pod."""
        try:
            found: Json = await self._of(number).call("report")
        except CallError as error:
            raise LabError(f"held connection {number}: {error}") from error
        return found

    async def end(self, number: int) -> None:
        process = self._of(number)
        del self._held[number]
        if process.channel is not None:
            process.channel.close()
        await process.exited

    def _of(self, number: int) -> Process:
        if number not in self._held:
            raise LabError(f"there is no held connection {number}")
        return self._held[number]
