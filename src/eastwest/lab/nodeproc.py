"""The process that is a node: it holds the node's network namespace, wires pods to it, programs Services, probes pods.

Forked by the zygote; told what to do by the controller. It decides nothing: batches and rulesets come ready-made.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from pathlib import Path
from typing import Any

from eastwest.lab import cgroups, kernel, nodedns, prober, rtnl
from eastwest.lab.channel import Channel
from eastwest.lab.dns import server as dns_server
from eastwest.lab.healthchecks import HealthChecks
from eastwest.lab.sandbox import POD_SYSCTLS, apply_sysctls, show_etc

Json = dict[str, Any]

NODE_SYSCTLS = {
    **POD_SYSCTLS,
    "net/ipv4/ip_forward": "1",
    "net/ipv6/conf/default/forwarding": "1",
    "net/ipv6/conf/all/forwarding": "1",
    "net/ipv4/neigh/default/gc_thresh3": "8192",
    "net/ipv6/neigh/default/gc_thresh3": "8192",
    "net/bridge/bridge-nf-call-iptables": "1",
    "net/bridge/bridge-nf-call-ip6tables": "1",
}


def main_node(spec: Json, channel: socket.socket | None) -> None:
    """`spec`: name, cgroup, etc."""
    assert channel is not None
    kernel.set_process_name(spec["name"])
    cgroups.join(Path(spec["cgroup"]))
    kernel.unshare(kernel.CLONE_NEWNET | kernel.CLONE_NEWUTS)
    kernel.set_hostname(spec["name"])
    show_etc(Path(spec["etc"]))
    show_bpffs()
    apply_sysctls(NODE_SYSCTLS)
    asyncio.run(_serve(channel))


def show_bpffs() -> None:
    """A node's own /sys/fs/bpf: what its agent pins there ends with the node."""
    with contextlib.suppress(OSError):  # a kernel without it: nothing is pinned then
        kernel.mount("bpf", "/sys/fs/bpf", "bpf", 0)


async def _serve(sock: socket.socket) -> None:
    channel = await Channel.over(sock)
    checks = HealthChecks(channel.send)
    ip_lock = asyncio.Lock()  # one ip or nft at a time: they take the same kernel lock anyway

    async def on_call(method: str, params: Json) -> Any:
        if method == "wire":
            rtnl.run(params["steps"])
        elif method == "ip":
            async with ip_lock:
                await run(["ip", "-batch", "-"], params["batch"])
        elif method == "nft":
            async with ip_lock:
                await run(["nft", "-f", "-"], params["ruleset"])
        elif method in ("tc", "bridge"):
            for words in params["commands"]:
                await run([method, *words], "", may_fail=params.get("may_fail", False))
        elif method == "local_dns":
            async with ip_lock:
                await run(["ip", "-batch", "-"], nodedns.LINKS)
                await run(["nft", "-f", "-"], nodedns.rules())
            await dns_server.serve(Path(params["zone"]), [nodedns.ADDRESS])
        elif method == "probe":
            return await asyncio.to_thread(
                prober.run, params["cells"], params["timeout_s"], params["parallel"], params["source"]
            )
        elif method == "watch":
            checks.replace(params["pods"])
        else:
            raise ValueError(f"a node cannot {method}")
        return None

    channel.on_call = on_call
    channel.send({"event": "ready"})
    await channel.closed()


async def run(argv: list[str], stdin: str, *, may_fail: bool = False) -> None:
    """Run a program to its end. Raises RuntimeError with its own words."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ,
    )
    _, stderr = await process.communicate(stdin.encode())
    if process.returncode and not may_fail:
        raise RuntimeError(f"{argv[0]}: {stderr.decode(errors='replace').strip()}")
