"""The real agent, enforcing, on a test node, with a server of plans; and plans for two pods written by hand."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.confined import DOCUMENTED
from agent.netlab import Node, Pod, wait_for
from agent.policy.planserver import TOKEN, PlanServer
from eastwest.model.flow import Direction
from eastwest.model.plan import NOBODY, Mode, NodePlan, PlanPod, Reason, Ruling, Side
from eastwest.model.realised import Realised
from eastwest.wire.plan import sealed
from wire.factories_plan import cells, identities, ports

LET_IN = Reason("NetworkPolicy", Direction.INGRESS, Ruling.ALLOW, "shop/web", 0)
ISOLATED = Reason("NetworkPolicy", Direction.INGRESS, Ruling.DENY, "shop/web")
NOTHING = Side(Mode.OFF, 0, 0)
OPEN_PORT, CLOSED_PORT = 8080, 9090


def plan_for(
    version: int,
    client: Pod,
    server: Pod,
    mode: Mode = Mode.ENFORCE,
    *,
    port: int = OPEN_PORT,
    ranges: tuple[str, ...] = ("10.77.0.0/16", "fd77::/64"),
) -> NodePlan:
    """`server` lets TCP `port` in from `client` and nothing else; `client` is not evaluated."""
    pods = (
        PlanPod(client.uid, "shop", client.name, (client.ipv4, client.ipv6), NOTHING, NOTHING),
        PlanPod(server.uid, "shop", server.name, (server.ipv4, server.ipv6), NOTHING, Side(mode, 1, 1)),
    )
    plan = NodePlan(
        "n1",
        0,
        "",
        pods,
        (NOBODY, LET_IN, ISOLATED),
        identities(("::/0", 0, 9), *((a, 1, i) for i, p in ((1, client), (2, server)) for a in (p.ipv4, p.ipv6))),
        cells((1, 1, 2)),
        ports(
            (1, 0, 0, 0, Ruling.DENY, 2),
            (2, 0, 0, 0, Ruling.DENY, 2),
            (2, 6, port, 24, Ruling.ALLOW, 1),
        ),
        ranges,
        sources=("NetworkPolicy shop/web 1",),
    )
    return sealed(plan, version)


def plan_out(version: int, client: Pod) -> NodePlan:
    """`client` may connect to TCP OPEN_PORT outside and to nothing else."""
    may = Reason("NetworkPolicy", Direction.EGRESS, Ruling.ALLOW, "shop/out", 0)
    not_else = Reason("NetworkPolicy", Direction.EGRESS, Ruling.DENY, "shop/out")
    out = Side(Mode.ENFORCE, 1, 1)
    plan = NodePlan(
        "n1",
        0,
        "",
        (PlanPod(client.uid, "shop", client.name, (client.ipv4, client.ipv6), out, NOTHING),),
        (NOBODY, may, not_else),
        identities(("::/0", 0, 9), (client.ipv4, 1, 1), (client.ipv6, 1, 1)),
        ports=ports((1, 0, 0, 0, Ruling.DENY, 2), (1, 6, OPEN_PORT, 24, Ruling.ALLOW, 1)),
        ranges=("10.77.0.0/16", "fd77::/64"),
    )
    return sealed(plan, version)


@dataclass
class Enforcing:
    process: subprocess.Popen[bytes]
    log: Path
    state: Path
    cni: Path

    def words(self) -> str:
        return self.log.read_text()


@contextlib.contextmanager
def enforcing(node: Node, server: str, folder: Path, *options: str, tick_s: float = 0.2) -> Iterator[Enforcing]:
    """Recording and enforcing when this yields, with the documented capabilities and no others; the state of a former one in
    `folder` is continued."""
    token = folder / "token"
    token.write_text(TOKEN)
    log = folder / f"agent-{os.urandom(3).hex()}.log"
    state, cni = folder / "state", folder / "cni.sock"
    argv = [sys.executable, "-m", "eastwest", "agent", "--node", "n1", "--cluster", "c1", "--token-file", str(token)]
    argv += ["--server", server, "--tick", str(tick_s), "--cgroup", str(node.tree)]
    argv += ["--enforce", "--state", str(state), "--cni-socket", str(cni), *options]
    with log.open("wb") as out:
        process = subprocess.Popen(["ip", "netns", "exec", node.netns, *DOCUMENTED, *argv], stderr=out)
    running = Enforcing(process, log, state, cni)
    try:
        wait_for(lambda: "recording" in running.words() or process.poll() is not None, "the agent is up", 60)
        assert process.poll() is None, running.words()
        yield running
        if process.poll() is None:
            process.terminate()
            assert process.wait(20) == 0, running.words()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        sys.stderr.write(running.words())


def in_force(server: PlanServer, version: int) -> Realised:
    """What the node said of this version when every pod of it was in force."""

    def said() -> Realised | None:
        found = [s for s in server.said if s.version == version and all(p.ingress is p.egress is None for p in s.pods)]
        return found[-1] if found else None

    wait_for(lambda: said() is not None, f"plan {version} is in force, said {server.said[-1:]}", 15)
    found = said()
    assert found is not None
    return found
