"""What each hook needs of the kernel, and what is lost where it has not got it: for people, in `--probe` and docs/kernels.md.

Versions are those in which the kernel's sources first have what the hook uses; nothing is decided by them, each hook is tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Need:
    """`kernel`: version and what came with it. `without`: what happens where that is missing."""

    kernel: str
    without: str


NEEDS: Final = {
    "tcx": Need("Linux 6.6: TCX links", "tc filters are used instead (`clsact`)"),
    "clsact": Need(
        "Linux 5.14 with BTF: programs run by system call",
        "no agent: nothing is recorded",
    ),
    "conntrack": Need(
        "Linux 6.2 with nf_conntrack in BTF: bpf_cast_to_kern_ctx, bpf_rdonly_cast",
        "Services are named by asking conntrack over netlink at the end of each window; where that is refused, too, they keep "
        "their own address, and who opened an older connection is told by listening sockets only",
    ),
    "conntrack_lookup": Need(
        "Linux 6.2 with nf_conntrack in BTF: bpf_skb_ct_lookup",
        "FORWARD looks at every packet of a pod, not at the first ones of a connection",
    ),
    "sock_ops": Need(
        "Linux 5.15 and cgroup v2: iterators over TCP sockets that may set options",
        "no retransmissions, timeouts, resets, round-trip and connect times",
    ),
    "drops": Need("Linux 5.17: the tracepoint kfree_skb tells a reason", "no drops, neither per pod nor on edges"),
    "dns": Need("Linux 5.8: ring buffers", "no lookups, and ends outside have no names from DNS"),
    "host": Need(
        "Linux 6.4: programs at netfilter's hooks", "the node itself and host-network pods are seen from their other end only"
    ),
    "host_pods": Need(
        "cgroup v2 and its file handles; Linux 5.8 for whose accepting socket it is",
        "host-network pods are recorded as their node",
    ),
    "pins": Need("a bpffs; Linux 5.7: links that are pinned", "packets between two lives of the agent are in no record"),
    "policy-ingress": Need("as recording", "nothing is enforced"),
    "policy-egress": Need(
        "Linux 6.4: programs at netfilter's hooks, and kube-proxy in iptables or nftables mode",
        "egress is not enforced, and pods whose egress policies isolate say so",
    ),
    "link_counters": Need(
        "Linux 5.0: links of other network namespaces over netlink", "what passes the hooks by (`hook_bypass`) is not noticed"
    ),
}  # fmt: skip
"""By name of the hook, as in coverage, metrics and logs."""
