"""A state directory that cannot be written: plans go in force all the same, it is said, and made up for once it can be."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.netlab import Node, wait_for
from agent.policy.planserver import PlanServer
from agent.policy.running import OPEN_PORT, enforcing, in_force, plan_for

pytestmark = pytest.mark.root

HEALTH = "import urllib.error as e, urllib.request as u\ntry: print(u.urlopen('http://127.0.0.1:7999/healthz').read().decode())\nexcept e.HTTPError as no: print(no.read().decode())"


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "state"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "eastwest-test", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_read_only_state_directory_stops_nothing_and_is_said(
    net: Node, server: PlanServer, state: Path, tmp_path: Path
) -> None:
    client, web = net.pod("a"), net.pod("b")
    web.server(OPEN_PORT)

    def remount(how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", str(state)], check=True)

    def health() -> str:
        return net.exec(sys.executable, "-c", HEALTH)

    server.put(plan_for(1, client, web))
    with enforcing(net, server.url, tmp_path, "--listen", "127.0.0.1:7999") as running:
        in_force(server, 1)
        before = (state / "plan").read_bytes()
        remount("ro")
        server.put(plan_for(2, client, web, port=9090))
        in_force(server, 2)  # enforced all the same
        wait_for(lambda: "the plan cannot be kept, a restart would begin with an older one" in health(), "it is said")
        assert "Read-only file system" in running.words()
        assert (state / "plan").read_bytes() == before
        remount("rw")
        wait_for(lambda: (state / "plan").read_bytes() != before, "it is kept after all", 60)
        wait_for(lambda: "cannot be kept" not in health(), "it is said no more")
        assert running.words().count("the plan cannot be kept") == 1
