"""Whose a network namespace is: told by the oldest process in it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eastwest.agent import pods

POD = "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0bc0ce69_b2f4_4319_86bc_814b2f25ec1b.slice/x"
UID = "0bc0ce69-b2f4-4319-86bc-814b2f25ec1b"


def _process(proc: Path, pid: int, netns: Path, cgroup: str, started: int) -> None:
    folder = proc / str(pid) / "ns"
    folder.mkdir(parents=True)
    os.link(netns, folder / "net")
    (proc / str(pid) / "cgroup").write_text(cgroup + "\n")
    (proc / str(pid) / "stat").write_text(f"{pid} (a) b) S " + "0 " * 18 + f"{started} 0\n")


def _nsid_of(names: dict[int, int]) -> Callable[[int], int | None]:
    return lambda fd: names.get(os.fstat(fd).st_ino)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "proc").mkdir()
    return tmp_path / "proc"


@pytest.mark.parametrize(
    ("path", "uid"),
    [
        (POD, UID),
        (f"0::/kubepods/burstable/pod{UID}/abc", UID),
        (f"4:memory:/kubepods/pod{UID}", UID),
        ("0::/system.slice/ssh.service", None),
        ("0::/user.slice/podman-123.scope", None),
        (f"0::/lab/node-a/kubepods/besteffort/pod{UID}/c0", UID),
        (f"0::/kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice/crio-9.scope", UID),
        (f"12:pids:/x\n1:name=systemd:/kubepods/burstable/pod{UID}/abc\n0::/x", UID),
        (f"0::/kubelet/kubepods/pod{'ab' * 16}/abc", "ab" * 16),  # a static pod: the hash of its manifest
        ("0::/kubepods/burstable", None),
        ("0::/user.slice/pod123/x", None),
        ("", None),
        ("nonsense", None),
    ],
)
def test_a_cgroup_names_its_pod(path: str, uid: str | None) -> None:
    assert pods.pod_uid(path) == uid


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    pods.pod_uid(text)
    pods.pod_uid(f"0::/kubepods{text}")


def test_the_pod_of_a_namespace_is_found(proc: Path, tmp_path: Path) -> None:
    netns = tmp_path / "netns"
    netns.touch()
    _process(proc, 40, netns, POD, started=100)
    assert pods.find({7}, _nsid_of({netns.stat().st_ino: 7}), proc) == {7: pods.PodProcess(UID, 40)}


def test_a_pod_process_passing_through_does_not_make_the_namespace_a_pods(proc: Path, tmp_path: Path) -> None:
    fabric = tmp_path / "fabric"
    fabric.touch()
    _process(proc, 900, fabric, "0::/lab", started=50)  # older, though its pid is higher
    _process(proc, 40, fabric, POD, started=100)
    assert pods.find({7}, _nsid_of({fabric.stat().st_ino: 7}), proc) == {}


def test_a_visitor_does_not_take_a_pod_away(proc: Path, tmp_path: Path) -> None:
    netns = tmp_path / "netns"
    netns.touch()
    _process(proc, 40, netns, POD, started=100)
    _process(proc, 30, netns, "0::/user.slice/debug", started=200)
    assert pods.find({7}, _nsid_of({netns.stat().st_ino: 7}), proc)[7].uid == UID


def test_a_namespace_nobody_asked_for_is_not_reported(proc: Path, tmp_path: Path) -> None:
    netns = tmp_path / "netns"
    netns.touch()
    _process(proc, 40, netns, POD, started=100)
    assert pods.find({8}, _nsid_of({netns.stat().st_ino: 7}), proc) == {}
