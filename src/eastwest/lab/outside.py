"""What lies outside the cluster: the internet's hosts, and load generators that come in through a load balancer."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from eastwest.lab import cgroups, kernel, prober
from eastwest.lab.channel import Channel
from eastwest.lab.dns.resolver import Resolver, ResolverConfig
from eastwest.lab.nodeproc import NODE_SYSCTLS, run
from eastwest.lab.sandbox import apply_sysctls
from eastwest.lab.state import write_atomically
from eastwest.lab.workload import calls
from eastwest.lab.workload.caller import Caller, CallFailed
from eastwest.lab.workload.server import Server

Json = dict[str, Any]
_WRITE_SECONDS: Final = 0.5
_CALM_SECONDS: Final = 1.0  # after the last pod is ready: a cluster that has just started is still busy with that


def main_internet(spec: Json, channel: socket.socket | None) -> None:
    """Hold the internet's network namespace and serve its hosts. `spec`: cgroup."""
    assert channel is not None
    kernel.set_process_name("internet")
    cgroups.join(Path(spec["cgroup"]))
    kernel.unshare(kernel.CLONE_NEWNET)
    apply_sysctls(NODE_SYSCTLS)
    asyncio.run(_serve_internet(channel))


async def _serve_internet(sock: socket.socket) -> None:
    channel = await Channel.over(sock)

    async def nothing(_: str) -> None:
        return None

    server = Server(nothing)
    listening: set[tuple[str, int, str]] = set()

    async def listen(addresses: list[str], ports: list[tuple[int, str]]) -> None:
        wanted = {(a if protocol == "UDP" else "", port, protocol) for a in addresses for port, protocol in ports}
        for address, port, protocol in sorted(wanted - listening):
            if protocol == "SCTP":
                server.listen_sctp([port], refuses=True)
            else:
                await server.listen(port, protocol, *([[address]] if address else []))
            listening.add((address, port, protocol))

    async def on_call(method: str, params: Json) -> Any:
        if method == "ip":
            await run(["ip", "-batch", "-"], params["batch"])
        elif method == "listen":
            await listen(params["addresses"], [(p, protocol) for p, protocol in params["ports"]])
        elif method == "probe":
            return await asyncio.to_thread(
                prober.run, params["cells"], params["timeout_s"], params["parallel"], params["source"]
            )
        else:
            raise ValueError(f"the internet cannot {method}")
        return None

    channel.on_call = on_call
    channel.send({"event": "ready"})
    await channel.closed()


@dataclass(slots=True)
class Counters:
    """Calls since the generator's start; those in flight are attempted, and neither succeeded nor failed yet."""

    attempted: int = 0
    succeeded: int = 0
    failed: int = 0
    last_failure: str | None = None
    last_failure_ns: int | None = None
    last_success_ns: int | None = None

    def finished(self, failure: CallFailed | None) -> None:
        now = time.time_ns()
        if failure is None:
            self.succeeded += 1
            self.last_success_ns = now
        else:
            self.failed += 1
            self.last_failure, self.last_failure_ns = str(failure), now


@dataclass(slots=True)
class ClientStats(Counters):
    """Counters of one load generator, and of each request it makes, such as "POST /purchase"."""

    name: str = ""
    started_ns: int = 0
    updated_ns: int = 0
    requests: dict[str, Counters] = field(default_factory=dict)


def main_client(spec: Json, channel: socket.socket | None) -> None:  # noqa: ARG001
    """Generate load from outside. `spec`: cgroup, internet_pid, name, calls, host, locals, stats."""
    kernel.set_process_name("client")
    cgroups.join(Path(spec["cgroup"]))
    kernel.setns(f"/proc/{spec['internet_pid']}/ns/net", kernel.CLONE_NEWNET)
    asyncio.run(_generate(spec))


async def _generate(spec: Json) -> None:
    stats = ClientStats(name=spec["name"], started_ns=time.time_ns())
    wanted = calls.parse(spec["calls"], default_host=spec["host"])
    local = {int(family): address for family, address in spec["locals"].items()}

    def counters(call: calls.Call) -> tuple[Counters, Counters]:
        target = call.targets[0]
        return stats, stats.requests.setdefault(f"{target.method} {target.path}", Counters())

    class Counting(Caller):
        async def make(self, call: calls.Call) -> None:
            for each in counters(call):
                each.attempted += 1
            await super().make(call)

    caller = Counting(Resolver(ResolverConfig(())), local)

    async def repeat(call: calls.Call) -> None:
        def tell(failure: CallFailed | None) -> None:
            for each in counters(call):
                each.finished(failure)

        await caller.repeat(call, tell)

    await asyncio.sleep(_CALM_SECONDS)
    tasks = [asyncio.get_running_loop().create_task(repeat(call)) for call in wanted if call.period_s is not None]
    file = Path(spec["stats"])
    while tasks:
        stats.updated_ns = time.time_ns()
        write_atomically(file, json.dumps(asdict(stats)))
        await asyncio.sleep(_WRITE_SECONDS)
