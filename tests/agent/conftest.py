"""A node of real namespaces and the server it reports to, new for each test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.hostlab import World
from agent.netlab import Node, node
from agent.receiver import Receiver, receiving


@pytest.fixture
def net() -> Iterator[Node]:
    with node() as n:
        yield n


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Receiver]:
    with receiving(tmp_path) as r:
        yield r


@pytest.fixture
def world(net: Node) -> Iterator[World]:
    made = World(net)
    yield made
    made.close()
