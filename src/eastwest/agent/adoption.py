"""Taking over from an agent that ended or was killed: the interfaces it had hooked, as it knew them.

In two steps, after the objects are loaded and before links are watched: `adopt` knows the interfaces, whose hooks still run
the predecessor's programs; `swap` puts ours in place. What must be in force before ours run is done between the two.
"""

from __future__ import annotations

import logging
import time
from typing import Final

from eastwest.agent.interfaces import Interface, Interfaces, State
from eastwest.agent.kernel import FlowKernel, Left
from eastwest.agent.netlink import Link

HOST: Final = 0
"""The node itself, as an interface."""
HOST_NAME: Final = "host"
log = logging.getLogger("eastwest.agent")


def adopt(kernel: FlowKernel, interfaces: Interfaces, host_netns: int | None = None) -> tuple[Interface, ...]:
    """Those that go on without a gap, to be swapped. Those that ended meanwhile will still be recorded, once.

    `host_netns`: inode of the node's own namespace when the node itself is counted, too (its hooks are `host`'s to swap).
    """
    left = kernel.left()
    for ifindex in left.reported.keys() - left.counting - left.hooks.keys():
        kernel.journal.forget(ifindex)  # it was let go of, and the predecessor was killed before it said so
    alive = []
    if HOST in left.counting:
        interfaces.adopt(_host(left, host_netns))
    for ifindex in sorted((left.hooks.keys() | left.counting) - {HOST}):
        interface = _as_left(ifindex, left)
        if ifindex in left.hooks:
            if (
                ifindex not in left.counting
            ):  # the books could not be used again: it begins anew, until its pod is found
                kernel.add_interface(ifindex, held=True)
                interface.state = State.HELD
            alive.append(interface)
        interfaces.adopt(interface)
    return tuple(alive)


def swap(kernel: FlowKernel, interfaces: Interfaces, alive: tuple[Interface, ...]) -> int:
    """Put our programs in place of the predecessor's; how many interfaces run them now."""
    done = 0
    for interface in alive:
        try:
            hooks = kernel.attach(interface.ifindex)
        except OSError as error:
            log.warning("interface %s cannot be hooked again: %s", interface.link.name, error)
            for old in interfaces.take_hooks(interface):
                old.remove()
            interface.gone = True
            continue
        for old in interfaces.give_hooks(interface, hooks):
            old.leave()
        done += 1
    kernel.settle()
    return done


def _host(left: Left, netns: int | None) -> Interface:
    interface = _as_left(HOST, left)
    interface.link, interface.host = Link(HOST, HOST_NAME, None), True
    interface.gone, interface.known_netns = netns is None, netns
    return interface


def _as_left(ifindex: int, left: Left) -> Interface:
    known = left.reported.get(ifindex)
    return Interface(
        Link(ifindex, known.name if known else f"interface {ifindex}", None),
        time.monotonic(),
        state=State.HELD if ifindex in left.held else State.LIVE,
        gone=ifindex not in left.hooks,
        hooks=left.hooks.get(ifindex, ()),
        before=known.before if known else {},
        listeners=left.listeners.get(ifindex, set()),
        known_uid=known.pod_uid if known else None,
        known_netns=known.netns if known else None,
    )
