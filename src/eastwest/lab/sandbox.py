"""The process that is a pod before and between its containers: it holds the namespaces and probes from inside.

What a container runtime calls the pause container. Forked by the zygote; asked by the controller through a channel.
"""

from __future__ import annotations

import contextlib
import signal
import socket
from pathlib import Path
from typing import Any

from eastwest.lab import cgroups, kernel, prober, rtnl
from eastwest.lab.channel import send_line, serve_blocking

Json = dict[str, Any]

POD_SYSCTLS = {
    "net/ipv4/icmp_ratelimit": "0",  # a probe must hear every refusal
    "net/ipv4/icmp_msgs_per_sec": "100000",
    "net/ipv4/icmp_msgs_burst": "10000",
    "net/ipv6/icmp/ratelimit": "0",
    "net/ipv6/conf/all/disable_ipv6": "0",
    "net/ipv6/conf/default/accept_dad": "0",
    "net/ipv6/conf/all/accept_dad": "0",
    "net/ipv6/conf/default/accept_ra": "0",
    "net/ipv6/conf/all/accept_ra": "0",
    "net/ipv6/conf/default/router_solicitations": "0",
    "net/ipv4/ping_group_range": "0 2147483647",
}


def main_sandbox(spec: Json, channel: socket.socket | None) -> None:
    """`spec`: name, cgroup, hostname, etc (folder of files to show in /etc), host_pid (set: share that netns)."""
    assert channel is not None
    kernel.set_process_name("pause")
    cgroups.join(Path(spec["cgroup"]))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if spec.get("host_pid"):
        kernel.setns(f"/proc/{spec['host_pid']}/ns/net", kernel.CLONE_NEWNET)
        kernel.unshare(kernel.CLONE_NEWUTS)
    else:
        kernel.unshare(kernel.CLONE_NEWNET | kernel.CLONE_NEWUTS)
        apply_sysctls(POD_SYSCTLS)
    kernel.set_hostname(spec["hostname"])
    show_etc(Path(spec["etc"]))
    send_line(channel, {"event": "ready"})
    serve_blocking(channel, _handle)


def _handle(method: str, params: Json) -> Any:
    if method == "wire":
        rtnl.run(params["steps"])
        return None
    if method == "probe":
        return prober.run(params["cells"], params["timeout_s"], params["parallel"], params["source"])
    raise ValueError(f"a pod cannot {method}")


def apply_sysctls(values: dict[str, str]) -> None:
    """Set what exists; a kernel without IPv6 or br_netfilter lacks some."""
    for name, value in values.items():
        with contextlib.suppress(FileNotFoundError):
            kernel.sysctl(name, value)


def show_etc(folder: Path) -> None:
    """Own mount namespace in which each file of `folder` stands in place of /etc/<its name>."""
    kernel.private_mounts()
    for file in folder.iterdir():
        target = Path("/etc", file.name)
        if target.exists():
            kernel.bind_file(file, target)
