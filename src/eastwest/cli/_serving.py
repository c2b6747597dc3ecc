"""One HTTP application on a TCP and a Unix socket, until a signal; every socket is opened, and answers, before anything else
starts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import uvicorn
from starlette.types import ASGIApp

from eastwest.api.starting import Starting
from eastwest.cli._slow_clients import ImpatientProtocol, take_all_descriptors

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
        with contextlib.ExitStack() as undo:
            sock = undo.enter_context(socket.socket(family, kind, proto))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
            sock.listen(1024)
            undo.pop_all()
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


class Site(Protocol):
    """What is served once it stands; `ending` is called when the end begins."""

    @property
    def app(self) -> ASGIApp: ...

    def ending(self) -> None: ...


def serve(
    site: AbstractContextManager[Site], starting: Starting, sockets: list[socket.socket], ready: Callable[[], None]
) -> None:
    """Run until SIGINT or SIGTERM. `site` is entered while `starting` answers, and left before this returns; `ready` is
    called once its requests are answered. Raises what entering it raises."""
    take_all_descriptors()
    config = uvicorn.Config(
        starting,
        http=ImpatientProtocol,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=GRACE_S,
        server_header=False,
    )
    asyncio.run(_serve(_Server(config), site, starting, sockets, ready))


async def _serve(
    server: uvicorn.Server,
    site: AbstractContextManager[Site],
    starting: Starting,
    sockets: list[socket.socket],
    ready: Callable[[], None],
) -> None:
    loop = asyncio.get_running_loop()
    found: Site | None = None

    def end() -> None:
        if server.should_exit and found is None:  # nothing can be hurried, and nothing is kept in this process alone
            os.kill(os.getpid(), signal.SIGKILL)
        server.force_exit = server.should_exit  # the second signal does not wait
        server.should_exit = True
        if found is not None:
            found.ending()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    serving = asyncio.create_task(server.serve(sockets))
    try:
        found = await asyncio.to_thread(site.__enter__)
    except BaseException:
        server.should_exit = True
        await serving
        raise
    try:
        starting.ready(found.app)
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        if server.started and not server.should_exit:
            ready()
        await serving
    finally:
        site.__exit__(None, None, None)
