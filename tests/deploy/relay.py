"""A port of this machine that leads to a port inside another network namespace, as a node's network would."""

from __future__ import annotations

import ctypes
import os
import select
import socket
import threading
from pathlib import Path

CLONE_NEWNET = 0x40000000  # include/uapi/linux/sched.h


class Relay:
    """Listens on `address` from the start; `target` is reached from inside the namespace that `netns` is."""

    def __init__(self, netns: Path, target: tuple[str, int]) -> None:
        self._netns, self._target = netns, target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "{}:{}".format(*self._listener.getsockname())
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """This thread moves into the namespace and never comes back; a socket belongs to where it was made."""
        with client:
            fd = os.open(self._netns, os.O_RDONLY)
            try:
                if ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET):
                    return
            finally:
                os.close(fd)
            try:
                with socket.create_connection(self._target, timeout=10) as server:
                    _copy(client, server)
            except OSError:
                return


def _copy(one: socket.socket, two: socket.socket) -> None:
    other = {one: two, two: one}
    while True:
        ready, _, _ = select.select([one, two], [], [], 60)
        if not ready:
            return
        for side in ready:
            data = side.recv(65536)
            if not data:
                return
            other[side].sendall(data)
