"""Cgroups of the node's own sockets to pods: real cgroups, opened by their ids, and a real map."""

from __future__ import annotations

import os
import secrets
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from agent.hostlab import FORMS
from agent.netlab import cgroup2_root
from eastwest.agent import bpf, host_pods
from eastwest.agent.host_pods import OwnTotals, beside
from eastwest.agent.owners import KEEP_S, CgroupPaths, Owners
from eastwest.model.batch import Amount, Books

pytestmark = pytest.mark.root
UID, OTHER = "0bc0ce69-b2f4-4319-86bc-814b2f25ec1b", "1bc0ce69-b2f4-4319-86bc-814b2f25ec1b"


@pytest.fixture
def tree() -> Iterator[Path]:
    made = cgroup2_root() / f"ewt-owners-{secrets.token_hex(3)}"
    made.mkdir()
    yield made
    for path in (*sorted(made.rglob("*"), reverse=True), made):
        if path.is_dir():
            path.rmdir()


@pytest.fixture
def met() -> Iterator[int]:
    """The map `owners`, as the kernel's programs have it."""
    fd = bpf.call(bpf.MAP_CREATE, struct.pack("<IIIII", 1, 8, 4, 4096, 1))  # a hash that takes memory as entries come
    yield fd
    os.close(fd)


@pytest.fixture
def paths() -> Iterator[CgroupPaths]:
    made = CgroupPaths(cgroup2_root())
    yield made
    made.close()


def cgroup(tree: Path, form: str, uid: str) -> int:
    path = tree / FORMS[form].format(uid=uid, flat=uid.replace("-", "_"))
    path.mkdir(parents=True)
    return path.stat().st_ino


def meet(fd: int, cgroup_id: int) -> None:
    bpf.update(fd, struct.pack("<Q", cgroup_id), bytes(4))


def number(fd: int, cgroup_id: int) -> int:
    value = np.zeros(1, "<u4")
    assert bpf.lookup(fd, struct.pack("<Q", cgroup_id), value)
    return int(value[0]) & 0xFFFF


@pytest.mark.parametrize("form", FORMS)
def test_a_cgroup_is_its_pods_whoever_made_it(tree: Path, met: int, paths: CgroupPaths, form: str) -> None:
    inode = cgroup(tree, form, UID)
    owners = Owners(met, paths.find)
    meet(met, inode)
    meet(met, tree.stat().st_ino)
    owners.look()
    assert number(met, tree.stat().st_ino) == 0
    assert owners.uids == {number(met, inode): UID}
    assert owners.of_cgroups(np.array([inode, 1, inode], np.uint64)).tolist() == [
        number(met, inode),
        0,
        number(met, inode),
    ]


def test_numbers_outlive_the_agent(tree: Path, met: int, paths: CgroupPaths) -> None:
    first, second = cgroup(tree, "crio", UID), cgroup(tree, "containerd", OTHER)
    before = Owners(met, paths.find)
    for inode in (first, second):
        meet(met, inode)
        before.look()
    after = Owners(met, paths.find)
    assert after.uids == before.uids
    assert set(after.uids.values()) == {UID, OTHER}


def test_a_cgroup_that_is_gone_is_forgotten_late_and_its_number_may_be_anothers(
    tree: Path, met: int, paths: CgroupPaths
) -> None:
    inode = cgroup(tree, "cgroupfs", UID)
    owners = Owners(met, paths.find)
    meet(met, inode)
    owners.look()
    (folder,) = (p for p in tree.rglob("*") if p.stat().st_ino == inode)
    folder.rmdir()
    owners.tidy(0.0)
    assert list(owners.uids.values()) == [UID]
    owners.tidy(KEEP_S + 1)
    assert owners.uids == {}
    late = cgroup(tree, "nested", OTHER)
    meet(met, late)
    owners.look()
    assert list(owners.uids.values()) == [OTHER]


def test_what_was_gone_before_anybody_looked_is_counted(tree: Path, met: int, paths: CgroupPaths) -> None:
    inode = cgroup(tree, "cgroupfs", UID)
    (folder,) = (p for p in tree.rglob("*") if p.stat().st_ino == inode)
    folder.rmdir()
    owners = Owners(met, paths.find)
    meet(met, inode)
    owners.look()
    assert (owners.unnamed, owners.uids, owners.status.state) == (1, {}, "on")


def test_a_kernel_that_refuses_is_said() -> None:
    def refuse(_: int) -> str | None:
        raise PermissionError(1, "Operation not permitted")

    fd = bpf.call(bpf.MAP_CREATE, struct.pack("<IIIII", 1, 8, 4, 16, 1))
    try:
        owners = Owners(fd, refuse)
        meet(fd, 7)
        owners.look()
        assert owners.status.state == "refused"
        assert "Operation not permitted" in (owners.status.reason or "")
    finally:
        os.close(fd)


def test_where_there_is_no_cgroup_tree_the_node_is_all_there_is(tmp_path: Path) -> None:
    found, status = host_pods.open_or_status(-1, tmp_path)
    assert found is None
    assert status.state == "refused"
    assert str(tmp_path) in (status.reason or "")


def test_metrics_of_host_pods_stand_beside_the_nodes_rest() -> None:
    account = [
        Books("uid-a", "v-a", Amount(10, 1), Amount(10, 1)),
        Books(None, "host", Amount(100, 10), Amount(100, 10)),
    ]
    own = OwnTotals(["uid-h"], np.array([[30, 20]]), np.array([[3, 2]]))
    uids, bytes_, packets = beside(account, np.array([[4, 6], [60, 40]]), np.array([[1, 0], [6, 4]]), own)
    assert uids == ["uid-a", None, "uid-h"]
    assert bytes_.tolist() == [[4, 6], [30, 20], [30, 20]]
    assert packets.tolist() == [[1, 0], [3, 2], [3, 2]]
