"""Kernels that refuse: what the agent goes on with, what it says is missing, and that it invents nothing for it."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest

from agent.netlab import ASK, CALL, Node
from agent.receiver import Receiver, agent
from agent.refusal import AF_NETLINK, BPF, LINK_CREATE, NETLINK_NETFILTER, RAW_TRACEPOINT_OPEN, SENDTO, SOCKET, refusing
from eastwest.agent import needs
from eastwest.agent.drop.hook import COLUMNS as DROP_COLUMNS
from eastwest.agent.sock.health import COLUMNS as SOCK_COLUMNS

KERNELS = Path(__file__).parents[2] / "docs" / "kernels.md"
MAIN = "\nimport sys\nfrom eastwest.cli.main import main\nsys.exit(main())\n"
NO_LINKS = (BPF, {0: LINK_CREATE}, errno.EINVAL)
NO_TRACEPOINTS = (BPF, {0: RAW_TRACEPOINT_OPEN}, errno.ENOENT)
NO_CONNTRACK = (SOCKET, {0: AF_NETLINK, 2: NETLINK_NETFILTER}, errno.EPROTONOSUPPORT)
NO_FAR_LINKS = (SENDTO, {2: 40}, errno.EPERM)  # a question about a link of another network namespace has that length
NO_BPF = (BPF, {}, errno.ENOSYS)
WITHOUT_KFUNCS = """
from eastwest.agent import loader
load = loader.load
def older(name, *args, **options):
    if name in ("flow_lookup", "flow_conntrack"):
        raise loader.LoadError("this kernel has no such function")
    return load(name, *args, **options)
loader.load = older
"""
OLD = refusing(NO_LINKS, NO_TRACEPOINTS, NO_CONNTRACK) + WITHOUT_KFUNCS + MAIN
SERVICE = "10.96.0.10"


def probe(code: str, *options: str) -> tuple[int, dict[str, dict[str, str]]]:
    argv = ["unshare", "-n", sys.executable, "-c", code, "agent", "--probe", "--json", *options]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, {h["name"]: h for h in json.loads(done.stdout)}


def test_the_table_in_the_documents_is_what_the_probe_says() -> None:
    rows = [line for line in KERNELS.read_text().splitlines() if line.startswith("| `")]
    assert rows == [f"| `{name}` | {need.kernel} | {need.without} |" for name, need in needs.NEEDS.items()]


@pytest.mark.root
def test_the_probe_tells_what_is_refused_what_it_needs_and_what_is_lost() -> None:
    code, hooks = probe(OLD, "--host", "--enforce")
    assert code == 1
    assert {name: h["state"] for name, h in hooks.items()} == {
        "tcx": "off", "clsact": "on", "conntrack": "refused", "conntrack_lookup": "refused", "sock_ops": "refused",
        "drops": "refused", "dns": "on", "policy-ingress": "on", "policy-egress": "refused", "host": "refused",
    }  # fmt: skip
    for name, hook in hooks.items():
        assert (hook["needs"], hook["without"]) == (needs.NEEDS[name].kernel, needs.NEEDS[name].without)
        assert hook["reason"] or hook["state"] == "on"


@pytest.mark.root
def test_a_kernel_without_bpf_records_nothing_and_says_so() -> None:
    code, hooks = probe(refusing(NO_BPF) + MAIN)
    assert (code, list(hooks), hooks["tcx"]["state"]) == (1, ["tcx"], "refused")
    assert "Function not implemented" in hooks["tcx"]["reason"]


@pytest.mark.root
def test_an_agent_on_such_a_kernel_records_all_the_same(net: Node, server: Receiver, tmp_path: Path) -> None:
    """Connection tracking cannot be read, neither in the kernel nor over netlink: Services keep their address."""
    a, b = net.pod("a"), net.pod("b")
    b.server(8080)
    b.server(5353, kind="udp")
    net.nft(f"""table ip s {{ chain p {{ type nat hook prerouting priority dstnat
        ip daddr {SERVICE} tcp dport 80 dnat ip to {b.ipv4}:8080
        ip daddr {SERVICE} udp dport 53 dnat ip to {b.ipv4}:5353
    }}; }}""")
    state = tmp_path / "state"
    state.mkdir()
    options = ("--host", "--enforce", "--state", str(state))
    with agent(net, server, tmp_path, *options, tick_s=0.2, command=("-c", OLD), cgroups=True) as running:
        server.wait(lambda r: bool(r.batches) and len(r.batches[-1][0].books) == 2, "both pods are known")
        for host, port in ((SERVICE, 80), (b.ipv4, 8080)):
            a.run(CALL.format(host=host, port=port, size=1000))
        a.run(ASK.format(family="socket.AF_INET", host=SERVICE, port=53, size=100))
        running.stop()
    server.assert_books_closed()
    asked = {k[2:7]: v["connections"] for k, v in server.edges().items() if k[0] == "client"}
    assert asked == {
        (SERVICE, 80, 6, None, None): 1, (b.ipv4, 8080, 6, None, None): 1, (SERVICE, 53, 17, None, None): 1,
    }  # fmt: skip
    served = {k[1:7]: v["connections"] for k, v in server.edges().items() if k[0] == "server"}
    assert served == {(a.ipv4, b.ipv4, 8080, 6, None, None): 2, (a.ipv4, b.ipv4, 5353, 17, None, None): 1}
    for name in (*SOCK_COLUMNS, *DROP_COLUMNS):
        assert {r[name] for r in server.records} == {None}, f"{name}: unknown is not 0"
    told = {h.name: h for h in server.batches[-1][0].hooks}
    assert told["conntrack"].columns == ("service_ip", "service_port")
    assert told["conntrack"].reason == "this kernel has no such function; over netlink: Protocol not supported"
    refused = {name for name, h in told.items() if h.state == "refused"}
    assert refused == {"conntrack", "conntrack_lookup", "sock_ops", "drops", "host", "policy-egress"}
    assert (told["tcx"].state, told["clsact"].state) == ("off", "on")
    for name in refused:
        assert f"this kernel refuses {name} (" in running.words()


@pytest.mark.root
def test_where_pods_own_counters_cannot_be_read_nobody_claims_that_nothing_passed_by(
    net: Node, server: Receiver, tmp_path: Path
) -> None:
    a, b = net.pod("a"), net.pod("b")
    b.server(8080)
    with agent(net, server, tmp_path, tick_s=0.1, command=("-c", refusing(NO_FAR_LINKS) + MAIN)) as running:
        server.wait(lambda r: any(x.name == "link_counters" for h, _ in r.batches for x in h.hooks), "the refusal")
        a.run(CALL.format(host=b.ipv4, port=8080, size=1000))
        running.stop()
    server.assert_books_closed()
    assert len(server.edges()) == 2
    (last,) = [h for h in server.batches[-1][0].hooks if h.name == "link_counters"]
    assert (last.state, last.columns) == ("refused", ("hook_bypass",))
    assert "not permitted" in str(last.reason)
