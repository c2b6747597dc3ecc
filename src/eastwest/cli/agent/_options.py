"""The options of `eastwest agent`, and how their texts are read."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from eastwest.agent.attach import WAYS
from eastwest.agent.bpffs import DEFAULT_FOLDER
from eastwest.agent.hooks_choice import HOOKS
from eastwest.agent.outbox import DEFAULT_LIMIT_BYTES
from eastwest.agent.policy.choice import DEFAULT_RATE
from eastwest.agent.recorder import DEFAULT_EDGE_BUDGET
from eastwest.agent.sizes import DEFAULT_FLOW_ENTRIES
from eastwest.agent.spool import DEFAULT_LIMIT_BYTES as DEFAULT_SPOOL_BYTES
from eastwest.runtime.paths import DEFAULT_SERVER

TICK_S: Final = 5.0
ENFORCING_TICK_S: Final = 1.0
UNSAID: Final = Path()
"""--pin was not given."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Everything but examples."""
    _identity(
        parser.add_argument_group("who it is, and where it sends (--node, --cluster and --token-file are needed)")
    )
    _watched(parser.add_argument_group("what it records"))
    _lasting(parser.add_argument_group("what outlives it"))
    _room(parser.add_argument_group("how much it may keep"))
    _metrics(parser.add_argument_group("metrics"))
    _enforcement(parser.add_argument_group("enforcement (default: none, nothing is ever dropped)"))
    _instead(parser.add_argument_group("instead of recording"))


def _identity(group: argparse._ArgumentGroup) -> None:
    """Who it is, and who it reports to."""
    group.add_argument("--node", metavar="NAME", help="name of this node, as the cluster calls it")
    group.add_argument("--cluster", metavar="NAME", help="name of the cluster, in every record")
    group.add_argument(
        "--server",
        metavar="URL",
        default=DEFAULT_SERVER,
        help="http://HOST:PORT, https://HOST or unix:/path/to.sock (default: %(default)s)",
    )
    group.add_argument("--token-file", metavar="FILE", type=Path, help="this node's token; read again when it changes")
    group.add_argument(
        "--tick",
        metavar="SECONDS",
        type=float,
        help=f"length of a window (default: {TICK_S:g}; with --enforce: {ENFORCING_TICK_S:g}, as a denial is shown once its "
        "window has ended)",
    )


def _room(group: argparse._ArgumentGroup) -> None:
    """How much it may keep."""
    group.add_argument(
        "--flow-map-size",
        metavar="N",
        type=int,
        default=DEFAULT_FLOW_ENTRIES,
        help="connections with an entry of their own; further ones are counted without the client's port "
        "(default: %(default)s; about 280 bytes of kernel memory each)",
    )
    group.add_argument(
        "--edge-budget",
        metavar="N",
        type=int,
        default=DEFAULT_EDGE_BUDGET,
        help="edges a window may hold; beyond it, those of the noisiest pods add up in one __other__ each, and the window "
        "says so (default: %(default)s)",
    )
    group.add_argument(
        "--buffer-bytes",
        metavar="N",
        type=int,
        default=DEFAULT_LIMIT_BYTES,
        help="memory for windows that wait for the server; what does not fit is declared lost (default: %(default)s)",
    )


def _watched(group: argparse._ArgumentGroup) -> None:
    """What it looks at, and how it is hooked."""
    group.add_argument(
        "--dns-ports",
        metavar="PORT,...",
        type=_ports,
        default=(53,),
        help="where DNS is spoken, over UDP and TCP; at most four, such as 53,5353 (default: 53)",
    )
    group.add_argument(
        "--attach",
        choices=WAYS,
        default="auto",
        help="how interfaces are hooked: TCX links, or tc filters where the kernel has no TCX (default: auto)",
    )
    group.add_argument(
        "--host",
        action="store_true",
        help="also record what this machine itself and host-network pods send and receive; needs no Kubernetes",
    )
    group.add_argument(
        "--cgroup",
        metavar="PATH",
        type=Path,
        help="TCP health of the sockets in this part of the cgroup v2 tree (default: its root, the whole node)",
    )
    group.add_argument(
        "--without",
        metavar="HOOK,...",
        type=_hooks,
        default=frozenset(),
        help=f"leave optional hooks off: {', '.join(HOOKS)} (default: all on)",
    )


def _lasting(group: argparse._ArgumentGroup) -> None:
    """What outlives it."""
    group.add_argument(
        "--spool",
        metavar="DIR",
        type=Path,
        help="windows wait for the server in files here and survive the agent's end and kill -9 (default: in memory)",
    )
    group.add_argument(
        "--spool-bytes",
        metavar="N",
        type=int,
        default=DEFAULT_SPOOL_BYTES,
        help="with --spool: room for them; the oldest that do not fit are declared lost (default: %(default)s)",
    )
    group.add_argument(
        "--pin",
        metavar="DIR",
        type=_pin,
        default=UNSAID,
        help="folder in a bpffs: counting (and enforcing) goes on there without the agent, and the next start misses "
        f"nothing; `off`: nothing is pinned (default: {DEFAULT_FOLDER} where a bpffs is mounted, removed at a "
        "graceful end; a folder given here is kept)",
    )


def _metrics(group: argparse._ArgumentGroup) -> None:
    """What is published."""
    group.add_argument("--listen", metavar="HOST:PORT", help="serve /metrics and /healthz (default: off)")
    group.add_argument(
        "--reference-metrics",
        action="store_true",
        help="with --listen: also the metric names of EKS container network observability, as counters",
    )


def _instead(group: argparse._ArgumentGroup) -> None:
    """What it does and ends."""
    group.add_argument(
        "--probe",
        action="store_true",
        help="say which hooks this kernel accepts (with --enforce: and which directions), and end",
    )
    group.add_argument("--json", action="store_true", help="with --probe: as JSON")
    group.add_argument(
        "--release", action="store_true", help="remove everything that an agent left pinned, say what, and end"
    )


def _enforcement(group: argparse._ArgumentGroup) -> None:
    """Plans, and what is written of what policies did."""
    group.add_argument("--enforce", action="store_true", help="put in force what the server plans for this node")
    group.add_argument(
        "--state",
        metavar="DIR",
        type=Path,
        help="where the last plan is kept, so that enforcement goes on without the server (needed with --enforce)",
    )
    group.add_argument(
        "--cni-socket", metavar="PATH", type=Path, help="answer the CNI plugin `eastwest cni` there (default: no)"
    )
    group.add_argument(
        "--policy-log", metavar="FILE", help="write what policies did as JSON lines; - is standard output (default: no)"
    )
    group.add_argument(
        "--policy-log-verdicts",
        choices=("denied", "all"),
        default="denied",
        help="denied: also what would have been (default); all: what was let through, too",
    )
    group.add_argument(
        "--policy-log-namespace",
        metavar="NS",
        nargs="+",
        default=[],
        help="only pods of these namespaces (default: all)",
    )
    group.add_argument(
        "--policy-log-rate",
        metavar="N",
        type=int,
        default=DEFAULT_RATE,
        help="lines a second; the rest is counted in a line of its own (default: %(default)s)",
    )


def _hooks(text: str) -> frozenset[str]:
    names = frozenset(part.strip() for part in text.split(",") if part.strip())
    if unknown := sorted(names - set(HOOKS)):
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is no optional hook; there are {', '.join(HOOKS)}")
    return names


def _ports(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not 1 <= len(parts) <= 4 or not all(p.isdecimal() and 0 < int(p) < 65536 for p in parts):
        raise argparse.ArgumentTypeError(f"{text!r}: one to four port numbers are expected, such as 53,5353")
    return tuple(int(p) for p in parts)


def _pin(text: str) -> Path | None:
    return None if text == "off" else Path(text)
