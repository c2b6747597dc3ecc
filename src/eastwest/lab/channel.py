"""JSON lines between the controller and its child processes: calls, answers and events. Knows no method by name."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final

Json = dict[str, Any]
_LIMIT: Final = 1 << 28  # one line: thousands of probe cells, or a whole nftables ruleset


class CallError(Exception):
    """The other end could not do what it was asked; the text is its own."""


class Channel:
    """One end in asyncio. `on_event` gets what the other end sends unasked; `on_close` runs once when it is gone."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._next = 0
        self.on_event: Callable[[Json], None] = lambda _: None
        self.on_call: Callable[[str, Json], Awaitable[Any]] | None = None
        self._task = asyncio.get_running_loop().create_task(self._read())
        self._calls: set[asyncio.Task[None]] = set()

    @classmethod
    async def over(cls, sock: socket.socket) -> Channel:
        """Take over a connected Unix stream socket."""
        sock.setblocking(False)
        return cls(*await asyncio.open_unix_connection(sock=sock, limit=_LIMIT))

    async def call(self, method: str, timeout: float | None = 60.0, **params: Any) -> Any:
        """Ask and wait. Raises CallError (also when the other end is gone) and TimeoutError."""
        self._next += 1
        number = self._next
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self.send({"id": number, "method": method, "params": params})
            return await asyncio.wait_for(future, timeout)
        finally:
            self._waiting.pop(number, None)

    def send(self, message: Json) -> None:
        """Send without waiting; a closed channel swallows it."""
        if self._writer.is_closing():
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(CallError("the process is gone"))
            return
        self._writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    async def closed(self) -> None:
        """Return when the other end is gone."""
        await asyncio.shield(self._task)

    def close(self) -> None:
        self._task.cancel()
        self._writer.close()

    async def _read(self) -> None:
        try:
            while line := await self._reader.readline():
                self._take(json.loads(line))
        except (ConnectionError, ValueError):
            pass
        finally:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(CallError("the process is gone"))
            self._writer.close()

    def _take(self, message: Json) -> None:
        if "method" in message:
            task = asyncio.get_running_loop().create_task(self._answer(message))
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)
        elif "id" in message:
            future = self._waiting.get(message["id"])
            if future is not None and not future.done():
                if "error" in message:
                    future.set_exception(CallError(message["error"]))
                else:
                    future.set_result(message.get("result"))
        else:
            self.on_event(message)

    async def _answer(self, message: Json) -> None:
        answer: Json = {"id": message["id"]}
        try:
            if self.on_call is None:
                raise CallError("nothing is served here")
            answer["result"] = await self.on_call(message["method"], message["params"])
        except Exception as error:
            answer["error"] = str(error) or type(error).__name__
        self.send(answer)


def send_line(sock: socket.socket, message: Json) -> None:
    """The blocking end's way to send."""
    sock.sendall(json.dumps(message, separators=(",", ":")).encode() + b"\n")


def serve_blocking(sock: socket.socket, handler: Callable[[str, Json], Any]) -> None:
    """Answer calls one after another until the other end is gone."""
    with sock.makefile("rb") as lines:
        for line in lines:
            message = json.loads(line)
            answer: Json = {"id": message["id"]}
            try:
                answer["result"] = handler(message["method"], message["params"])
            except Exception as error:
                answer["error"] = str(error) or type(error).__name__
            send_line(sock, answer)
