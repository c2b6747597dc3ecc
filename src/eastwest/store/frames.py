"""Messages between a server and its store process over a stream socket: a JSON head and a body of bytes."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any, Final

_LENGTHS: Final = struct.Struct("<IQ")


def send(sock: socket.socket, head: dict[str, Any], body: bytes | memoryview = b"") -> None:
    """Send one message. Raises OSError when the other end is gone."""
    text = json.dumps(head, separators=(",", ":")).encode()
    sock.sendall(_LENGTHS.pack(len(text), len(body)) + text)
    if len(body):
        sock.sendall(body)


def receive(sock: socket.socket) -> tuple[dict[str, Any], bytearray]:
    """Wait for one message. Raises EOFError when the other end closed."""
    head_length, body_length = _LENGTHS.unpack(_exactly(sock, _LENGTHS.size))
    head = json.loads(_exactly(sock, head_length))
    return head, _exactly(sock, body_length)


def _exactly(sock: socket.socket, length: int) -> bytearray:
    data = bytearray(length)
    view = memoryview(data)
    while view:
        count = sock.recv_into(view)
        if count == 0:
            raise EOFError("the other end closed the connection")
        view = view[count:]
    return data
