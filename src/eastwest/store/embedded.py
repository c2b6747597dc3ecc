"""The server's end of the embedded engine: starts the store process, speaks to it, starts it again when it dies.

Imports no engine. Each connection serves one statement at a time; inserts have one of their own, so that slow questions
never delay them.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from eastwest.store import frames
from eastwest.store.errors import StoreError, StoreLockedError, StoreRefusedError, StoreUnavailableError
from eastwest.store.lock import LOCKED
from eastwest.store.parts import Part
from eastwest.store.protocol import Status
from eastwest.store.statement import Statement

ENGINE: Final = "embedded"
START_TIMEOUT_S: Final = 40.0
STOP_TIMEOUT_S: Final = 20.0
WAIT_S: Final = 10.0
"""How long a call waits for a free connection, or for a restart to finish."""


class _Process:
    """One life of the store process and the connections to it."""

    def __init__(self, directory: Path, readers: int, memory_bytes: int) -> None:
        pairs = [socket.socketpair() for _ in range(readers + 1)]
        theirs = [their for _, their in pairs]
        fds = [their.fileno() for their in theirs]
        command = [sys.executable, "-m", "eastwest.store.worker", str(directory), *map(str, fds)]
        command += ["--memory-bytes", str(memory_bytes)]
        self.child = subprocess.Popen(command, pass_fds=fds, stdin=subprocess.DEVNULL, process_group=0)
        for their in theirs:
            their.close()
        self.sockets = [ours for ours, _ in pairs]
        self.writer: queue.Queue[socket.socket] = queue.Queue()
        self.readers: queue.Queue[socket.socket] = queue.Queue()

    def await_ready(self) -> None:
        """Raises StoreError when the process ends or stalls before it can serve."""
        for i, sock in enumerate(self.sockets):
            sock.settimeout(START_TIMEOUT_S)
            try:
                frames.receive(sock)
            except (EOFError, OSError):
                self.child.kill() if self.child.poll() is None and i else None
                code = self._wait_code()
                if code == LOCKED:
                    raise StoreLockedError("the store's directory is in use by another process") from None
                raise StoreUnavailableError(f"the store process did not start (exit code {code})") from None
            sock.settimeout(None)
            (self.readers if i else self.writer).put(sock)

    def _wait_code(self) -> int | None:
        try:
            return self.child.wait(5)
        except subprocess.TimeoutExpired:
            self.child.kill()
            return self.child.wait()

    def close(self, timeout_s: float) -> None:
        """Close the connections and wait for the process to end; kill it when it does not."""
        for sock in self.sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        try:
            self.child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


class EmbeddedEngine:
    """An Engine in a process of its own."""

    def __init__(self, directory: Path, readers: int = 4, memory_bytes: int = 1 << 30) -> None:
        self._directory = directory
        self._readers = readers
        self._memory_bytes = memory_bytes
        self._guard = threading.Condition()  # guards the five below
        self._process: _Process | None = None
        self._stopping = False
        self._restarts = 0
        self._reason: str | None = "not started"
        self._watcher: threading.Thread | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the store process, when there is one."""
        with self._guard:
            return self._process.child.pid if self._process else None

    def start(self) -> None:
        """See Engine. Raises StoreLockedError when another process has the directory."""
        process = _Process(self._directory, self._readers, self._memory_bytes)
        try:
            process.await_ready()
        except StoreError:
            process.close(1)
            raise
        with self._guard:
            self._process, self._reason = process, None
        self._watcher = threading.Thread(target=self._watch, name="store-watch", daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        """See Engine."""
        with self._guard:
            self._stopping = True
            process, self._process, self._reason = self._process, None, "stopped"
            self._guard.notify_all()
        if process is not None:
            process.close(STOP_TIMEOUT_S)
        if self._watcher is not None:
            self._watcher.join()

    def status(self) -> Status:
        """See Store."""
        with self._guard:
            return Status(self._process is not None, ENGINE, self._restarts, self._reason)

    def query(self, statement: Statement) -> pa.Table:
        """See Engine. Asked once more when the process died under it: reading twice is harmless."""
        head = {"do": "query", "sql": statement.sql, "parameters": statement.parameters}
        try:
            body = self._call(head, write=False)
        except StoreUnavailableError:
            body = self._call(head, write=False)
        return pa.ipc.open_stream(pa.py_buffer(body)).read_all()

    def command(self, statement: Statement) -> None:
        """See Engine."""
        self._call({"do": "command", "sql": statement.sql, "parameters": statement.parameters}, write=True)

    def insert(self, part: Part) -> None:
        """See Engine."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, part.rows.schema) as writer:
            writer.write_table(part.rows)
        self._call({"do": "insert", "table": part.table, "token": part.token}, memoryview(sink.getvalue()), write=True)

    def _call(self, head: dict[str, Any], body: memoryview | bytes = b"", *, write: bool) -> bytearray:
        with self._connection(write) as sock:
            try:
                frames.send(sock, head, body)
                answer, rows = frames.receive(sock)
            except (EOFError, OSError) as error:
                raise StoreUnavailableError("the store process died; it is being started again") from error
        if "error" in answer:
            raise StoreRefusedError(answer["error"])
        return rows

    @contextlib.contextmanager
    def _connection(self, write: bool) -> Iterator[socket.socket]:
        """A connection for one call; it goes back only when the call was whole."""
        deadline = time.monotonic() + WAIT_S
        with self._guard:
            while self._process is None and not self._stopping:
                if not self._guard.wait(deadline - time.monotonic()):
                    raise StoreUnavailableError(f"the store is not ready: {self._reason}")
            process = self._process
        if process is None:
            raise StoreUnavailableError("the store is stopped")
        free = process.writer if write else process.readers
        try:
            sock = free.get(timeout=max(0.1, deadline - time.monotonic()))
        except queue.Empty:
            raise StoreUnavailableError("the store is busy with other questions") from None
        try:
            yield sock
        except StoreUnavailableError:
            self._lost(process)
            raise
        free.put(sock)

    def _lost(self, process: _Process) -> None:
        """Forget a process whose connection broke, so that nobody else uses it."""
        with self._guard:
            if self._process is process:
                self._process, self._reason = None, "the store process died"

    def _watch(self) -> None:
        """Owns the process's death: waits for it, then starts another, ever more slowly while that fails."""
        with self._guard:
            process = self._process
        pause_s = 0.1
        while process is not None:
            process.child.wait()
            with self._guard:
                if self._stopping:
                    return
            self._lost(process)
            process.close(0.1)
            process = None
            while process is None:
                with self._guard:
                    if self._guard.wait_for(lambda: self._stopping, pause_s):
                        return
                process = self._again()
                pause_s = 0.1 if process else min(pause_s * 2, 5.0)

    def _again(self) -> _Process | None:
        process = _Process(self._directory, self._readers, self._memory_bytes)
        try:
            process.await_ready()
        except StoreError as error:
            process.close(1)
            with self._guard:
                self._reason = str(error)
            return None
        with self._guard:
            if self._stopping:
                process.close(STOP_TIMEOUT_S)
                return None
            self._process, self._reason = process, None
            self._restarts += 1
            self._guard.notify_all()
        return process
