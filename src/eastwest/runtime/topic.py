"""News from threads to coroutines: the collector says that data landed, open browser connections hear of it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

T = TypeVar("T")
_BACKLOG = 1000


class Topic(Generic[T]):
    """Publish from any thread; each subscriber hears what is published while it listens."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards _listeners
        self._listeners: set[tuple[asyncio.AbstractEventLoop, asyncio.Queue[T | None]]] = set()

    def publish(self, value: T) -> None:
        """Hand `value` to all subscribers; one that does not listen loses the oldest."""
        self._send(value)

    def close(self) -> None:
        """Tell all subscribers that nothing more comes: they get None."""
        self._send(None)

    def _send(self, value: T | None) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for loop, queue in listeners:
            with contextlib.suppress(RuntimeError):  # its loop has just closed
                loop.call_soon_threadsafe(_put, queue, value)

    @contextlib.asynccontextmanager
    async def subscribe(self) -> AsyncIterator[asyncio.Queue[T | None]]:
        """A queue of everything published while the context is open; None is the end."""
        listener = (asyncio.get_running_loop(), asyncio.Queue[T | None](_BACKLOG))
        with self._lock:
            self._listeners.add(listener)
        try:
            yield listener[1]
        finally:
            with self._lock:
                self._listeners.discard(listener)

    @property
    def listeners(self) -> int:
        """How many listen now."""
        with self._lock:
            return len(self._listeners)


def _put(queue: asyncio.Queue[T | None], value: T | None) -> None:
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(value)
