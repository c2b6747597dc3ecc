"""The server here sends plans, and takes what the agent says of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.policy.planserver import PlanServer, serving


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PlanServer]:
    with serving(tmp_path) as s:
        yield s
