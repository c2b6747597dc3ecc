"""One HTTP application on a TCP and a Unix socket, until a signal; every socket is opened before anything else starts."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn
from fastapi import FastAPI

GRACE_S = 3


class ListenError(Exception):
    """An address cannot be listened on; the message says why and what to do."""


def parse_listen(text: str) -> tuple[str, int]:
    """(host, port) of HOST:PORT, [IPv6]:PORT. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{text!r}: expected HOST:PORT, such as 127.0.0.1:7420 or [::1]:7420")
    return host.removeprefix("[").removesuffix("]") or "0.0.0.0", int(port)


def is_loopback(host: str) -> bool:
    """Whether every address that `host` means is this machine's own."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return all(str(info[4][0]).startswith("127.") or info[4][0] == "::1" for info in found)


def open_tcp(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ListenError."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, proto)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(1024)
    except OSError as error:
        hint = "; is another eastwest server running? choose another with --listen" if error.errno == 98 else ""
        raise ListenError(f"cannot listen on {host}:{port}: {error.strerror or error}{hint}") from None
    return sock


def open_unix(path: Path) -> socket.socket:
    """A listening Unix socket (mode 0660), replacing one that nobody listens on. Raises ListenError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(path)) == 0:
                raise ListenError(f"another server listens on {path}; choose another with --ingest-socket")
        path.unlink()
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.bind(str(path))
    except OSError as error:
        raise ListenError(f"cannot listen on {path}: {error.strerror or error}") from None
    path.chmod(0o660)
    sock.listen(1024)
    return sock


class _Server(uvicorn.Server):
    """Leaves signals to `serve`."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(app: FastAPI, sockets: list[socket.socket], ready: Callable[[], None], ending: Callable[[], None]) -> None:
    """Run until SIGINT or SIGTERM. `ready` is called once requests are answered, `ending` when the end begins."""
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=GRACE_S, server_header=False
    )
    asyncio.run(_serve(_Server(config), sockets, ready, ending))


async def _serve(
    server: uvicorn.Server, sockets: list[socket.socket], ready: Callable[[], None], ending: Callable[[], None]
) -> None:
    loop = asyncio.get_running_loop()

    def end() -> None:
        server.force_exit = server.should_exit  # the second signal does not wait
        server.should_exit = True
        ending()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    serving = asyncio.create_task(server.serve(sockets))
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    if server.started:
        ready()
    await serving
