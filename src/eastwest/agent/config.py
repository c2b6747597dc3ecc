"""What an operator chooses for the agent of a node."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from eastwest.agent.outbox import DEFAULT_LIMIT_BYTES
from eastwest.agent.policy.choice import EnforceConfig
from eastwest.agent.recorder import DEFAULT_EDGE_BUDGET
from eastwest.agent.sizes import Patience, PolicySizes, Sizes
from eastwest.agent.spool import DEFAULT_LIMIT_BYTES as DEFAULT_SPOOL_BYTES


@dataclass(frozen=True, slots=True)
class Config:
    """A folder or file that is None: without what it is for."""

    node: str
    cluster: str
    server: str
    token_file: Path
    tick_s: float = 5.0
    listen: str | None = None  # HOST:PORT of /metrics and /healthz
    sizes: Sizes = field(default_factory=Sizes)
    patience: Patience = field(default_factory=Patience)
    buffer_bytes: int = DEFAULT_LIMIT_BYTES
    edge_budget: int = DEFAULT_EDGE_BUDGET
    cgroup: Path | None = None  # sockets of its processes tell TCP health; None: nobody's do
    drops: bool = True
    dns: bool = True
    dns_ports: tuple[int, ...] = (53,)  # at most four
    enforce: EnforceConfig | None = None  # None: nothing is enforced
    policy_sizes: PolicySizes = field(default_factory=PolicySizes)
    attach: str = "auto"  # one of attach.WAYS
    host: bool = False  # also record the node itself and host-network pods
    pin: Path | None = None  # a folder in a bpffs: what is counted there outlives this process
    keep_pins: bool = False  # also after a graceful end
    spool: Path | None = None  # windows wait here for the server, and survive this process
    spool_bytes: int = DEFAULT_SPOOL_BYTES
    reference_metrics: bool = False  # also publish the metric names of EKS container network observability
