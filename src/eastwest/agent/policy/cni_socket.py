"""Answers the chained CNI plugin (`eastwest cni`) on a Unix socket: one question a connection, a line of JSON each way.

The question comes with a descriptor of the pod's network namespace, which says which links are the pod's, whatever they
are called and whatever this process can see of the file system.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import logging
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any, Final

from eastwest.agent import netlink
from eastwest.agent.interfaces import Interfaces
from eastwest.agent.policy.enforcer import Enforcer
from eastwest.agent.policy.local import Announced

log = logging.getLogger("eastwest.agent")
_LINE_LIMIT: Final = 65_536
_LONGEST_WAIT_S: Final = 300.0
_AT_ONCE: Final = 64


class RequestError(ValueError):
    """A question that makes no sense."""


class CniSocket:
    """Inert until `start`. The socket is readable and writable by its owner alone."""

    def __init__(self, path: Path, enforcer: Enforcer, interfaces: Interfaces) -> None:
        self._path, self._enforcer, self._interfaces = path, enforcer, interfaces
        self._slots = threading.BoundedSemaphore(_AT_ONCE)
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="cni", daemon=True)

    def start(self) -> None:
        """Raises OSError when the socket cannot be had."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        before = os.umask(0o177)
        try:
            self._socket.bind(str(self._path))
        finally:
            os.umask(before)
        self._socket.listen(128)
        self._thread.start()

    def stop(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self._thread.join(5.0)
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()

    def _run(self) -> None:
        assert self._socket is not None
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._slots.acquire()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                connection.settimeout(10.0)
                try:
                    answer = self._answer(*_read(connection))
                except (RequestError, OSError) as error:
                    answer = {"ok": False, "retry": False, "reason": str(error)}
                with contextlib.suppress(OSError):
                    connection.sendall(json.dumps(answer).encode() + b"\n")
        finally:
            self._slots.release()

    def _answer(self, question: dict[str, Any], netns_fd: int | None) -> dict[str, Any]:
        if netns_fd is None:
            raise RequestError("no descriptor of the pod's network namespace came along")
        try:
            return self._wait(question, netns_fd)
        finally:
            os.close(netns_fd)

    def _wait(self, question: dict[str, Any], netns_fd: int) -> dict[str, Any]:
        pod = _pod(question)
        wait_s, planned = question.get("wait_s", 0), question.get("planned", True)
        if not isinstance(wait_s, int | float) or not 0 <= wait_s <= _LONGEST_WAIT_S:
            raise RequestError(f"wait_s: expected a number from 0 to {_LONGEST_WAIT_S:g}")
        deadline_s = time.monotonic() + wait_s
        ifindexes = _links_to(netns_fd)
        if not ifindexes:
            return {"ok": False, "retry": False, "reason": "no veth leads into the pod's network namespace"}
        for ifindex in ifindexes:
            self._interfaces.announced(ifindex, pod.uid)
            self._enforcer.announce(ifindex, pod)
        force = self._enforcer.wait_bound(ifindexes, pod.uid, deadline_s, planned=bool(planned))
        if force is None:
            return {"ok": False, "retry": True, "reason": self._what_lacks(ifindexes, pod.uid)}
        return {
            "ok": True,
            "ifindexes": sorted(ifindexes),
            "plan": force.plan.version,
            "generation": force.generation,
            "planned": pod.uid in force.planned,
        }

    def _what_lacks(self, ifindexes: set[int], uid: str) -> str:
        force = self._enforcer.in_force
        if force is None:
            return "no plan is in force on this node: neither the server nor the disk had one"
        if not all(force.holds(i, uid, planned=False) for i in ifindexes):
            return "the pod's interface is not hooked yet"
        return f"plan {force.plan.version} does not know the pod yet; the posture holds for it"


def _read(connection: socket.socket) -> tuple[dict[str, Any], int | None]:
    data, fds, _, _ = socket.recv_fds(connection, _LINE_LIMIT, 4)
    try:
        while not data.endswith(b"\n"):
            more = connection.recv(_LINE_LIMIT)
            data += more
            if not more or len(data) > _LINE_LIMIT:
                raise RequestError("a question is one line of JSON")
        question = json.loads(data)
        if not isinstance(question, dict):
            raise RequestError("a question is an object")
    except (ValueError, OSError, RecursionError) as error:
        for fd in fds:
            os.close(fd)
        raise RequestError(str(error)) from None
    for fd in fds[1:]:
        os.close(fd)
    return question, fds[0] if fds else None


def _pod(question: dict[str, Any]) -> Announced:
    texts = {name: question.get(name) or "" for name in ("uid", "namespace", "name")}
    if not all(isinstance(t, str) for t in texts.values()) or not texts["uid"]:
        raise RequestError("uid, namespace and name are text, and uid is not empty")
    addresses = question.get("addresses") or []
    if not isinstance(addresses, list):
        raise RequestError("addresses: expected a list")
    try:
        known = tuple(str(ipaddress.ip_address(a)) for a in addresses)
    except ValueError as error:
        raise RequestError(f"addresses: {error}") from None
    return Announced(texts["uid"], texts["namespace"], texts["name"], known)


def _links_to(netns_fd: int) -> set[int]:
    """Indices of the veths here whose other end is in that namespace."""
    ids = netlink.NamespaceIds()
    try:
        nsid = ids.find(netns_fd)
    finally:
        ids.close()
    return {link.ifindex for link in netlink.list_links() if nsid is not None and link.peer_nsid == nsid}
