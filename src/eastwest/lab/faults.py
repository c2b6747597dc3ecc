"""Faults on a link: packets lost (nftables numgen), a rate limit (tbf), a smaller MTU; of a pod or a node.

A pod's link is its veth in its node; a node's link is its way into the fabric. This kernel family may lack netem, so
there is no delay. A smaller MTU is that of the end which sends towards the target: whoever forwards there says "too big"
(ICMP), a pod's node or the fabric, and the sender has to listen.
"""

from __future__ import annotations

import re
from typing import Any

from eastwest.lab import podspec
from eastwest.lab.labrun import LabRun
from eastwest.lab.network import VXLAN_MTU
from eastwest.lab.nodeproc import run
from eastwest.lab.podrun import NodeRun
from eastwest.lab.state import LabError
from eastwest.lab.targets import Targets

Json = dict[str, Any]
_MTU = 1500
_MTU_MIN = 1280
_RATE = re.compile(r"\d+(\.\d+)?[kmg]?bit")


async def change(lab: LabRun, request: Json) -> list[Json]:
    """Set or clear the fault of `target` (`ns/pod` or `node:name`); `clear` with no target clears all. The faults left."""
    target = request.get("target")
    if request.get("clear"):
        for name in [target] if target else list(lab.faults):
            if lab.faults.pop(name, None) is None:
                raise LabError(f"{name} has no fault")
            await _apply(lab, name, None, None, None)
        return listing(lab)
    if target is None:
        return listing(lab)
    loss, rate, mtu = request.get("loss"), request.get("rate"), request.get("mtu")
    if loss is None and rate is None and mtu is None:
        raise LabError("say what: --loss PERCENT, --rate RATE, --mtu BYTES, or --clear")
    if mtu is not None and not _MTU_MIN <= int(mtu) < _MTU:
        raise LabError(f"mtu {mtu} is not from {_MTU_MIN} (less cannot carry IPv6) to {_MTU - 1}")
    if loss is not None and not 0 < float(loss) <= 100:
        raise LabError(f"loss {loss} is not a percentage above 0")
    if rate is not None and not _RATE.fullmatch(str(rate)):
        raise LabError(f"rate {rate!r} is not a rate such as 10mbit or 500kbit")
    await _apply(lab, target, loss, rate, mtu)
    link = _link(lab, target)[1]
    lab.faults[target] = {"target": target, "loss_percent": loss, "rate": rate, "mtu": mtu, "link": link}
    return listing(lab)


def listing(lab: LabRun) -> list[Json]:
    """The faults in force. One whose link is gone (its pod was replaced) is forgotten."""
    for target, fault in list(lab.faults.items()):
        try:
            gone = _link(lab, target)[1] != fault["link"]
        except LabError:
            gone = True
        if gone:
            del lab.faults[target]
    return list(lab.faults.values())


def _link(lab: LabRun, target: str) -> tuple[NodeRun, str]:
    if target.startswith("node:"):
        for node in lab.nodes:
            if node.plan.name == target[5:]:
                return node, "eth0"
        raise LabError(f"no node {target[5:]!r}")
    namespace, _, name = target.partition("/")
    if not name:
        raise LabError(f"{target!r} is not ns/pod or node:name")
    pod = Targets(lab.objects, {}).pod(namespace, name)
    run = lab.cluster.pods.runs.get(pod["metadata"]["uid"])
    if run is None or pod["spec"].get("hostNetwork"):
        raise LabError(f"{target} has no link of its own")
    return run.node, podspec.host_link(run.uid)


async def _apply(lab: LabRun, target: str, loss: float | None, rate: str | None, mtu: int | None) -> None:
    try:
        node, link = _link(lab, target)
    except LabError:
        if loss is None and rate is None and mtu is None:
            return  # the pod is gone and its fault with it
        raise
    table = f"fault-{link}"
    rules = f"table netdev {table}\ndelete table netdev {table}\n"
    if loss is not None:
        share = max(1, round(float(loss) * 100))  # of 10,000
        drop = f"numgen random mod 10000 <= {share - 1} drop"
        rules += f"table netdev {table} {{\n"
        for hook in ("ingress", "egress"):
            rules += f" chain {hook} {{\n  type filter hook {hook} device {link} priority -500\n  {drop}\n }}\n"
        rules += "}\n"
    await node.process.call("nft", ruleset=rules)
    await node.process.call("tc", commands=[["qdisc", "delete", "dev", link, "root"]], may_fail=True)
    if rate is not None:
        limit = ["qdisc", "add", "dev", link, "root", "tbf", "rate", rate, "burst", "32kbit", "latency", "400ms"]
        await node.process.call("tc", commands=[limit])
    if target.startswith("node:"):  # this process is the fabric
        await run(["ip", "-batch", "-"], f"link set {node.plan.name} mtu {mtu or _MTU}\n")
    else:
        whole = VXLAN_MTU if lab.mode == "vxlan" else _MTU
        await node.process.call("ip", batch=f"link set {link} mtu {mtu or whole}\n")
