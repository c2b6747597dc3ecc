"""The program of a container without a command: serve its ports, make its calls, leave politely on SIGTERM."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from eastwest.lab.channel import send_line
from eastwest.lab.dns import server as dns_server
from eastwest.lab.dns.resolver import Resolver
from eastwest.lab.workload import calls
from eastwest.lab.workload.caller import Caller, CallFailed, run_once
from eastwest.lab.workload.server import Server

Json = dict[str, Any]
_DRAIN_SECONDS: Final = 2.0
_READY_SECONDS: Final = 20.0


def run(spec: Json, channel: socket.socket | None = None) -> int:
    """`spec`: ports [[port, protocol]], sctp [port] (None: another container answers for the pod), host_network, calls
    (annotation text or None), once, program ("dns" or None), zone, ips, and go (a file: there when steady load may begin).

    Says "ready" on `channel` once every port listens. Returns the exit code.
    """
    return asyncio.run(_run(spec, channel))


async def _run(spec: Json, channel: socket.socket | None) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    wanted = calls.parse(spec["calls"]) if spec.get("calls") else []
    caller = Caller(Resolver())
    if spec.get("once"):
        failures = await run_once(caller, wanted)
        for failed in failures:
            print(failed, file=sys.stderr, flush=True)
        return 1 if failures else 0
    routes: dict[str, list[calls.Call]] = {}
    for call in wanted:
        if call.when is not None:
            routes.setdefault(call.when, []).append(call)

    async def answer(request: str) -> str | None:
        try:
            for call in routes.get(request, ()):
                await caller.make(call)
        except CallFailed as failed:
            return str(failed)
        return None

    server = Server(answer)
    own = (
        (spec["ips"],) if spec["host_network"] else ()
    )  # a node has more addresses: a datagram's echo must name the right one
    for port, protocol in spec["ports"]:
        if spec.get("program") != "dns" or port != 53:
            await server.listen(port, protocol, *own)
    if spec["sctp"] is not None and (spec["sctp"] or not spec["host_network"]):
        server.listen_sctp(spec["sctp"], refuses=not spec["host_network"])
    if spec.get("program") == "dns":
        await dns_server.serve(Path(spec["zone"]), spec["ips"])
    if channel is not None:
        send_line(channel, {"event": "ready"})
    callers = loop.create_task(_call(caller, wanted, Path(spec["go"])))
    await stop.wait()
    callers.cancel()
    await server.drain(_DRAIN_SECONDS)
    return 0


async def _call(caller: Caller, wanted: Sequence[calls.Call], go: Path) -> None:
    """Make the calls that nobody asks for, from when the lab is ready: earlier ones would find Services without pods."""
    deadline = time.monotonic() + _READY_SECONDS
    while not go.exists() and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    async with asyncio.TaskGroup() as tasks:
        for call in wanted:
            if call.period_s is not None:
                tasks.create_task(caller.repeat(call, _log))
            elif call.when is None:
                tasks.create_task(_first(caller, call))


def _log(failed: CallFailed | None) -> None:
    if failed is not None:
        print(failed, file=sys.stderr, flush=True)


async def _first(caller: Caller, call: calls.Call) -> None:
    _log(next(iter(await run_once(caller, [call])), None))
