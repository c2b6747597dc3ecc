"""The long-running process of one lab: it is the fabric, starts everything else, and obeys the control socket.

`python -m eastwest.lab.daemon NAME NETWORK NODES DRIVER`. It moves into a network namespace of its own before anything
else, so that no mistake below can touch the machine's.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from typing import Any, cast

from eastwest.lab import cgroups, kernel, zygote
from eastwest.lab.channel import Channel
from eastwest.lab.control import Control
from eastwest.lab.labrun import LabRun
from eastwest.lab.state import LabFiles, Network


async def _listen(lab: LabRun) -> asyncio.Server:
    """Open the control socket."""
    control = Control(lab)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        channel = Channel(reader, writer)
        channel.on_call = control.call
        await channel.closed()

    before = os.umask(0o177)  # who may speak to it may run anything
    try:
        return await asyncio.start_unix_server(accept, lab.files.socket, limit=1 << 28)
    finally:
        os.umask(before)


async def _serve(lab: LabRun, server: asyncio.Server) -> None:
    """Answer the control socket until the lab is to go down, or the zygote has died."""
    waits: list[asyncio.Future[Any]] = [
        asyncio.ensure_future(lab.down.wait()),
        asyncio.ensure_future(lab.processes.zygote_gone),
        lab.loop,
    ]
    async with server:
        done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if lab.loop in done:
            lab.loop.result()


async def _main(lab: LabRun, orders: socket.socket, tell_ready: int) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lab.down.set)
    await lab.start(orders)
    server = await _listen(lab)
    os.write(tell_ready, b"1")
    os.close(tell_ready)
    await _serve(lab, server)


def main(argv: list[str]) -> int:
    """Put a lab into the background; return 0 once it obeys its control socket, 1 when it could not start.

    What it leaves when it ends, by itself or not, is cleaned by `runtime.remove`.
    """
    name, mode, node_count, driver = argv
    hear_ready, tell_ready = os.pipe()
    if os.fork():
        os.close(tell_ready)
        return 0 if os.read(hear_ready, 1) else 1
    os.close(hear_ready)
    os.setsid()
    cgroups.join(cgroups.create(cgroups.lab_root(name) / "lab"))
    kernel.unshare(kernel.CLONE_NEWNET)
    kernel.set_process_name("labd")
    _, orders = zygote.start((tell_ready,))
    lab = LabRun(LabFiles(name), cast(Network, mode), int(node_count), cast(cgroups.Driver, driver))
    asyncio.run(_main(lab, orders, tell_ready))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
