"""The process that owns the embedded engine: `python -m eastwest.store.worker DIR FD...`, started by `embedded`.

The engine must not live in a process that forks, opens 250 MB on import and may crash at exit; so it lives here. One
thread and one client per socket. When every socket is closed, as when the server dies, the process ends.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any, Final

import clickhouse_connect
import pyarrow as pa

from eastwest.store import frames
from eastwest.store.errors import StoreLockedError
from eastwest.store.lock import LOCKED, DirectoryLock

_LOCK_WAIT_S: Final = 20.0
"""A predecessor whose server died ends as soon as its last statement does."""


def _options(memory_bytes: int) -> dict[str, Any]:
    """Engine limits; the engine's own are 90 % of the machine and a 5 GB mark cache."""
    return {
        "max_server_memory_usage": memory_bytes,
        "mark_cache_size": 64 << 20,
        "uncompressed_cache_size": 0,
        "background_pool_size": 2,
    }


def answer(client: Any, head: dict[str, Any], body: bytearray) -> tuple[dict[str, Any], bytes | memoryview]:
    """Run one request; an engine's refusal becomes an answer with `error`."""
    try:
        match head["do"]:
            case "query":
                table = client.query_arrow(head["sql"], parameters=head["parameters"] or None, use_strings=True)
                return {}, memoryview(_to_ipc(table))
            case "command":
                client.command(head["sql"], parameters=head["parameters"] or None)
            case "insert":
                rows = pa.ipc.open_stream(pa.py_buffer(body)).read_all()
                client.insert_arrow(head["table"], rows, settings={"insert_deduplication_token": head["token"]})
    except Exception as error:  # whatever the engine raises is the caller's to judge
        return {"error": f"{type(error).__name__}: {error}"[:2000]}, b""
    return {}, b""


def _to_ipc(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _serve(sock: socket.socket, client: Any) -> None:
    while True:
        try:
            frames.send(sock, *answer(client, *frames.receive(sock)))
        except (EOFError, OSError):
            return


def main(argv: list[str]) -> int:
    """Serve until every socket is closed."""
    parser = argparse.ArgumentParser(prog="python -m eastwest.store.worker")
    parser.add_argument("directory", type=Path)
    parser.add_argument("fds", type=int, nargs="+")
    parser.add_argument("--memory-bytes", type=int, default=1 << 30)
    args = parser.parse_args(argv)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the server decides when to end, by closing the sockets
    try:
        DirectoryLock(args.directory / "lock", "a store process of eastwest server").acquire(_LOCK_WAIT_S)
    except StoreLockedError as error:
        print(error, file=sys.stderr)
        return LOCKED
    path = args.directory / "clickhouse"
    clients = [
        clickhouse_connect.get_client(dsn=f"chdb://{path}", chdb_options=_options(args.memory_bytes)) for _ in args.fds
    ]
    sockets = [socket.socket(fileno=fd) for fd in args.fds]
    threads = [
        threading.Thread(target=_serve, args=pair, name=f"store-{i}")
        for i, pair in enumerate(zip(sockets, clients, strict=True))
    ]
    for thread in threads:
        thread.start()
    for sock in sockets:
        frames.send(sock, {"ready": os.getpid()})
    for thread in threads:
        thread.join()
    for client in clients:
        client.close()
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)  # the engine sometimes crashes in its own exit handlers
