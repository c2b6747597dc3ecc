"""A small warm process that forks every other process of the lab: pods in milliseconds, memory shared.

It is single-threaded and runs no event loop, so that a fork is always clean. It dies with the controller, and every
child dies with it (PR_SET_PDEATHSIG); what a child starts itself is found by its cgroup.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from typing import Any, Final, NoReturn

from eastwest.lab import kernel

Json = dict[str, Any]
Main = Callable[[Json, socket.socket | None], None]

ROLES: Final = {
    "sandbox": "eastwest.lab.sandbox",
    "container": "eastwest.lab.container",
    "node": "eastwest.lab.nodeproc",
    "internet": "eastwest.lab.outside",
    "client": "eastwest.lab.outside",
    "hold": "eastwest.lab.hold",
}
"""What a child can be; its module has `main_<role>(spec, channel)`."""


def start(not_inherited: tuple[int, ...] = ()) -> tuple[int, socket.socket]:
    """Fork the zygote; return its pid and the socket on which it takes orders. Call before any thread or loop."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        ours.close()
        for fd in not_inherited:
            os.close(fd)
        kernel.die_with_parent(parent)
        kernel.set_process_name("lab-zygote")
        _serve(theirs)
    theirs.close()
    return pid, ours


def _serve(orders: socket.socket) -> NoReturn:
    mains = {role: _main_of(role) for role in ROLES}
    gc.collect()
    gc.freeze()
    wake_read, wake_write = socket.socketpair()
    for end in (wake_read, wake_write):
        end.setblocking(False)
    signal.set_wakeup_fd(wake_write.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    selector = selectors.DefaultSelector()
    selector.register(orders, selectors.EVENT_READ)
    selector.register(wake_read, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is wake_read:
                with contextlib.suppress(BlockingIOError):
                    wake_read.recv(4096)
                _report_exits(orders)
                continue
            try:
                raw, fds, _, _ = socket.recv_fds(orders, 1 << 20, 1)
            except ConnectionResetError:
                raw, fds = b"", []
            if not raw:
                os._exit(0)
            order = json.loads(raw)
            pid = _fork(order, mains[order["role"]], fds, (orders, wake_read, wake_write, selector))
            for fd in fds:
                os.close(fd)
            orders.send(json.dumps({"id": order["id"], "pid": pid}).encode())


def _main_of(role: str) -> Main:
    found: Main = getattr(importlib.import_module(ROLES[role]), f"main_{role}")
    return found


def _report_exits(orders: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        orders.send(json.dumps({"exited": pid, "code": os.waitstatus_to_exitcode(status)}).encode())


def _fork(order: Json, main: Main, fds: list[int], ours: tuple[Any, ...]) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        kernel.die_with_parent(parent)
        for thing in ours:
            thing.close()
        os.setsid()
        channel = socket.socket(fileno=fds[0]) if fds else None
        main(order["spec"], channel)
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        print(f"{order['role']}: {traceback.format_exc()}", file=sys.stderr, flush=True)
    finally:
        os._exit(code)
