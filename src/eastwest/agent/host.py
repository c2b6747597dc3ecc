"""The node itself as an endpoint: the host object in the kernel, attached to netfilter's LOCAL_IN and LOCAL_OUT.

Its packets are counted into the flow object's maps, as those of an interface with number 0. Only the agent that is in charge
counts (`host_owner`): a successor attaches beside its predecessor, takes charge with one store, and removes the other's links.
"""

from __future__ import annotations

import os
import struct
from typing import Final

from eastwest.agent import bpf, listeners, netlink
from eastwest.agent.abi import STRUCTS
from eastwest.agent.adoption import HOST
from eastwest.agent.bpffs import PinFolder
from eastwest.agent.kernel import FlowKernel
from eastwest.agent.listeners import Ports
from eastwest.agent.loader import LoadError, load
from eastwest.model.batch import HookStatus

NAME: Final = "host"
COLUMNS: Final = ("bytes_forward", "bytes_reverse")
_PROG_NETFILTER, _BPF_NETFILTER = 32, 45  # enum bpf_prog_type, enum bpf_attach_type; Linux 6.4
_NFPROTO: Final = {"4": 2, "6": 10}
_LOCAL_IN, _LOCAL_OUT = 1, 3
# The node's packets are seen as a pod's are at its interface: with the Service's address, before destination NAT on the
# way out (-100) and after it was undone on the way in (100). Conntrack (-200) knows them by then.
_PLACES: Final = {"in": (_LOCAL_IN, 190), "out": (_LOCAL_OUT, -150)}
_STRUCTS: Final = {name: layout for name, layout in STRUCTS.items() if name != "ew_drain"}
_OWNER_PIN: Final = "map_host_owner"


class HostRefusedError(RuntimeError):
    """This kernel refused; the text is its answer."""


class HostHook:
    """Open from construction to `close`. Raises HostRefusedError."""

    def __init__(self, kernel: FlowKernel, pins: PinFolder | None = None) -> None:
        self._kernel, self._pins = kernel, pins
        self._listeners: Ports = set()
        self._tunnels: set[int] = set()
        left = pins.open(_OWNER_PIN) if pins is not None else None
        shared = dict(kernel.maps) | ({"host_owner": left} if left is not None else {})
        identity = (int.from_bytes(os.urandom(4), "little") >> 1) + 1
        try:
            self._object = load(
                "host",
                ("host_owner", "host_tunnels"),
                ("ew_host",),
                _STRUCTS,
                shared=shared,
                constants={".rodata.owner": struct.pack("<I", identity)},
                types={"ew_host": (_PROG_NETFILTER, _BPF_NETFILTER)},
            )
        except LoadError as error:
            raise HostRefusedError(str(error)) from None
        finally:
            if left is not None:
                os.close(left)
        self._links: dict[str, int] = {}
        try:
            if not kernel.counts(HOST):
                kernel.add_interface(HOST, held=False)
            self.refresh()
            for family in _NFPROTO:
                for place in _PLACES:
                    self._links[f"link_host_{place}{family}"] = self._attach(family, place)
        except OSError as error:
            self._close_descriptors()
            raise HostRefusedError(f"netfilter: {error.strerror}") from None
        self._take_charge(identity)

    def refresh(self) -> None:
        """Look again at the node's tunnels and accepting sockets; every now and then."""
        ports = netlink.list_tunnel_ports()
        for port in ports - self._tunnels:
            bpf.update(self._object.maps["host_tunnels"], struct.pack("<H", port), bytes(4))
        for port in self._tunnels - ports:
            bpf.delete(self._object.maps["host_tunnels"], struct.pack("<H", port))
        self._tunnels = ports
        accepting = listeners.read(os.getpid())
        if accepting is not None:
            self._kernel.set_listeners(HOST, accepting, self._listeners)
            self._listeners = accepting

    def close(self, *, keep: bool = False) -> None:
        """Unhook, or leave the hooks to a successor."""
        if not keep:
            forget(self._pins)
        self._close_descriptors()

    def _attach(self, family: str, place: str) -> int:
        hook, priority = _PLACES[place]
        for beside in range(4):  # a predecessor's link has one of these until we have taken charge
            words = struct.pack("<IIII", self._object.programs["ew_host"], 0, _BPF_NETFILTER, 0)
            try:
                return bpf.call(
                    bpf.LINK_CREATE, words + struct.pack("<IIiI", _NFPROTO[family], hook, priority + beside, 0)
                )
            except OSError as error:
                refused = error
        raise refused

    def _take_charge(self, identity: int) -> None:
        owner = self._object.maps["host_owner"]
        bpf.update(owner, bytes(4), struct.pack("<I", identity))
        if self._pins is not None:
            self._pins.pin(_OWNER_PIN, owner)
            for name, fd in self._links.items():
                self._pins.pin(name, fd)  # in place of the predecessor's, which ends here

    def _close_descriptors(self) -> None:
        for fd in self._links.values():
            os.close(fd)
        self._links = {}
        self._object.close()


def forget(pins: PinFolder | None) -> None:
    """Unhook what a predecessor left."""
    if pins is None:
        return
    for name in (*pins.names("link_host_"), _OWNER_PIN):
        pins.remove(name)


def open_or_status(kernel: FlowKernel, pins: PinFolder | None) -> tuple[HostHook | None, HookStatus]:
    """The hook when the kernel takes it, and what to report either way."""
    try:
        hook = HostHook(kernel, pins)
    except HostRefusedError as error:
        return None, HookStatus(NAME, "refused", f"the node itself is not seen: {error}", COLUMNS)
    return hook, HookStatus(NAME, "on")
