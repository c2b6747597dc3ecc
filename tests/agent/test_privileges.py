"""The capabilities that the documents ask for are enough in fact, and without each the documented sentence is said."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agent.confined import under
from agent.hostlab import NODE, WORLD, World, host_pod
from agent.netlab import CALL, Node
from agent.receiver import Receiver, agent
from eastwest.agent import privileges
from eastwest.agent.privileges import NEEDED, PARTS, Capability
from eastwest.model.batch import HookStatus

INSTALL = Path(__file__).parents[2] / "docs" / "install.md"
TALK = """
import socket, sys, time
s = socket.create_connection(({host!r}, {port})); s.sendall(b"x"); s.recv(1); print("up", flush=True)
while True:
    s.sendall(b"x"); s.recv(1); time.sleep(0.02)
"""
HOOKS = {
    "tcx", "conntrack", "conntrack_lookup", "sock_ops", "drops", "dns", "host", "host_pods", "pins", "policy-ingress",
    "policy-egress",
}  # fmt: skip


def without(*capabilities: Capability) -> list[Capability]:
    return [c for c in Capability if c not in capabilities]


def bits(*capabilities: Capability) -> int:
    return sum(1 << c for c in capabilities)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text(f"Name:\tx\nCapInh:\t0\nCapPrm:\tff\nCapEff:\t{bits(Capability.BPF):016x}\n")
    assert privileges.effective(status) == bits(Capability.BPF)
    privileges.require(bits(Capability.BPF, Capability.PERFMON, Capability.NET_ADMIN))
    privileges.require(bits(Capability.SYS_ADMIN, Capability.NET_ADMIN))
    with pytest.raises(PermissionError, match=r"^CAP_NET_ADMIN is missing: .*; CAP_PERFMON is missing: "):
        privileges.require(privileges.effective(status))
    assert [h.name for h in privileges.lacking(0)] == ["pods", "older_connections"]
    assert privileges.lacking(bits(*PARTS)) == ()


def test_the_documents_say_the_same() -> None:
    text = " ".join(INSTALL.read_text().split())
    for capability in Capability:
        assert f"| CAP_{capability.name} |" in text
    for sentence in (*NEEDED.values(), *(what for _, what, _ in PARTS.values())):
        assert sentence in text


@pytest.mark.root
def test_without_what_every_hook_needs_the_probe_names_it() -> None:
    argv = ["unshare", "-n", *under(), sys.executable, "-m", "eastwest", "agent", "--probe", "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    (tcx,) = json.loads(done.stdout)
    assert (tcx["name"], tcx["state"]) == ("tcx", "refused")
    for capability, what in NEEDED.items():
        assert f"CAP_{capability.name} is missing: {what}" in tcx["reason"]


class Lab:
    """Two pods with a connection that is older than the agent, and a host-network pod with what it asks."""

    def __init__(self, net: Node, world: World, server: Receiver, folder: Path) -> None:
        self.net, self.world, self.server, self.folder = net, world, server, folder
        self.a, self.b, self.host = net.pod("a"), net.pod("b"), host_pod(net)
        self.b.server(8080)
        self.b.server(8081)
        world.serve(world.netns, 7000)
        talk = self.a.python(TALK.format(host=self.b.ipv4, port=8080), stdout=subprocess.PIPE)
        assert talk.stdout is not None
        assert talk.stdout.readline() == b"up\n"

    def run(self, capabilities: list[Capability]) -> dict[str, HookStatus]:
        """The agent with every hook and enforcement, some traffic, and what its hooks are at the end."""
        pins, state = self.folder / "bpf", self.folder / "state"
        pins.mkdir()
        state.mkdir()
        mounted = ["unshare", "--mount", "sh", "-c", f'mount -t bpf bpf {pins} && exec "$@"', "sh"]
        options = ("--host", "--enforce", "--state", str(state), "--pin", str(pins / "eastwest"))
        more = ("--spool", str(self.folder / "spool"), "--listen", "127.0.0.1:7421")
        command = [*mounted, *under(*capabilities)]
        with agent(self.net, self.server, self.folder, *options, *more, tick_s=0.2, cgroups=True, under=command) as it:
            self.server.wait(lambda r: bool(r.batches), "a window")
            self.a.run(CALL.format(host=self.b.ipv4, port=8081, size=1000))
            self.host.run(CALL.format(host=WORLD, port=7000, size=1000))
            seen = len(self.server.batches)
            self.server.wait(lambda r: len(r.batches) > seen + 5, "windows")
            it.stop()
        self.server.assert_books_closed()
        return {h.name: h for h in self.server.batches[-1][0].hooks}

    def older(self) -> set[int | None]:
        """Round-trip samples of the older connection, by record."""
        return {r["rtt_count"] for r in self.server.records if r["dst_port"] == 8080}


@pytest.fixture
def lab(net: Node, world: World, server: Receiver, tmp_path: Path) -> Lab:
    return Lab(net, world, server, tmp_path)


def refused(hooks: dict[str, HookStatus]) -> dict[str, str | None]:
    return {name: h.reason for name, h in hooks.items() if h.state != "on"}


@pytest.mark.root
def test_with_the_documented_ones_every_hook_works(lab: Lab) -> None:
    hooks = lab.run(list(Capability))
    assert (refused(hooks), hooks.keys()) == ({}, HOOKS)
    assert {h.reason for h in hooks.values()} == {None}
    uids = {k[7] for k in lab.server.edges() if k[3] in (8080, 8081)}
    assert uids == {lab.a.uid, lab.b.uid}
    assert lab.older() - {0, None}, "the older connection is followed"
    assert ("client", NODE, WORLD, 7000, 6, None, None, lab.host.uid) in lab.server.edges()


@pytest.mark.root
def test_without_entering_namespaces_and_opening_cgroups_two_parts_are_missing_and_said(lab: Lab) -> None:
    hooks = lab.run(without(Capability.SYS_ADMIN, Capability.DAC_READ_SEARCH))
    _, what, _ = PARTS[Capability.SYS_ADMIN]
    assert refused(hooks) == {
        "older_connections": f"CAP_SYS_ADMIN is missing: {what}",
        "host_pods": "cgroups cannot be opened by their id: Operation not permitted",
    }
    assert {k[7] for k in lab.server.edges() if k[3] in (8080, 8081)} == {lab.a.uid, lab.b.uid}
    assert not lab.older() - {0, None}
    assert ("client", NODE, WORLD, 7000, 6, None, None, None) in lab.server.edges()


@pytest.mark.root
def test_without_looking_at_processes_no_pod_is_recorded_and_it_is_said(lab: Lab) -> None:
    hooks = lab.run(without(Capability.SYS_PTRACE))
    _, what, columns = PARTS[Capability.SYS_PTRACE]
    assert refused(hooks) == {"pods": f"CAP_SYS_PTRACE is missing: {what}"}
    assert hooks["pods"].columns == columns
    assert not [k for k in lab.server.edges() if k[3] in (8080, 8081)]
