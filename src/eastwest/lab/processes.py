"""The controller's side of the zygote: start a process, hold a channel to it, learn when it ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from dataclasses import dataclass
from typing import Any

from eastwest.lab.channel import CallError, Channel

Json = dict[str, Any]


@dataclass(slots=True)
class Process:
    """A child of the zygote. `exited` resolves to its exit code (negative: the signal that ended it)."""

    pid: int
    exited: asyncio.Future[int]
    channel: Channel | None = None

    async def call(self, method: str, timeout: float | None = 60.0, **params: Any) -> Any:
        """Call a method of a process that was started with a channel. Raises CallError, TimeoutError."""
        if self.channel is None:
            raise CallError("this process takes no calls")
        return await self.channel.call(method, timeout, **params)

    def kill(self, number: int = signal.SIGKILL) -> None:
        if not self.exited.done():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return


class Processes:
    """Everything the zygote was asked to start and that has not ended."""

    def __init__(self, orders: socket.socket) -> None:
        self._orders = orders
        self._orders.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(orders.fileno(), self._take)
        self._started: dict[int, asyncio.Future[tuple[int, asyncio.Future[int]]]] = {}
        self._running: dict[int, asyncio.Future[int]] = {}
        self._next = 0
        self.zygote_gone: asyncio.Future[None] = self._loop.create_future()

    async def start(self, role: str, spec: Json, *, channel: bool = False) -> Process:
        """Fork a process with a role of `zygote.ROLES`. Raises OSError."""
        self._next += 1
        number = self._next
        ours: socket.socket | None = None
        fds: list[int] = []
        if channel:
            ours, theirs = socket.socketpair()
            fds = [theirs.fileno()]
        future: asyncio.Future[tuple[int, asyncio.Future[int]]] = self._loop.create_future()
        self._started[number] = future
        order = json.dumps({"id": number, "role": role, "spec": spec}).encode()
        while True:
            try:
                socket.send_fds(self._orders, [order], fds)
                break
            except BlockingIOError:
                await asyncio.sleep(0.002)
        if ours is not None:
            theirs.close()
        pid, exited = await future  # together: a short life may be over before this line
        link = await Channel.over(ours) if ours is not None else None
        return Process(pid, exited, link)

    def _take(self) -> None:
        while True:
            try:
                raw = self._orders.recv(1 << 16)
            except BlockingIOError:
                return
            except ConnectionError:
                raw = b""
            if not raw:
                self._loop.remove_reader(self._orders.fileno())
                if not self.zygote_gone.done():
                    self.zygote_gone.set_result(None)
                return
            message = json.loads(raw)
            if "pid" in message:
                exited: asyncio.Future[int] = self._loop.create_future()
                self._running[message["pid"]] = exited
                self._started.pop(message["id"]).set_result((message["pid"], exited))
            else:
                ended = self._running.pop(message["exited"], None)
                if ended is not None and not ended.done():
                    ended.set_result(message["code"])
