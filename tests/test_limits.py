"""One table of limits: the documentation quotes it, and the benchmarks judge by it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def bench(code: str) -> str:
    """Python at the root of the repository, where `bench` is a package."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def test_the_documentation_quotes_the_table() -> None:
    table = bench("from bench.limits import table; print(table(), end='')")
    assert table in (ROOT / "docs" / "performance.md").read_text()


def test_a_figure_past_its_limit_is_said_to_be() -> None:
    code = """
from bench.agent import show
fine, broken = ({"process": {"RSS MiB": v, "edges a window": 10**9}, "program": {"TCP": 1.0}} for v in (44.9, 45.1))
assert not show(fine)
assert show(broken)
assert show({"drain": {"merge": 100.1}})
from bench.metrics import show
assert not show({"agent": {"scrape CPU ms": 19.9}, "server": {}})
assert show({"agent": {"scrape CPU ms": 20.1}, "server": {}})
"""
    assert bench(code).count("BROKEN") == 3


def test_every_limit_speaks_of_something_that_is_measured() -> None:
    code = """
import inspect
from bench import agent, agent_process, enforce, metrics
from bench.limits import limits
source = inspect.getsource(agent) + inspect.getsource(agent_process)
for limit in limits():
    if limit.bench == "metrics":
        assert f'"{limit.figure}"' in inspect.getsource(metrics), limit
    elif limit.bench == "agent":
        assert f'"{limit.part}"' in source, limit
        assert limit.figure == "*" or f'"{limit.figure}"' in source, limit
    else:
        assert f'limit_of("{limit.bench}", "{limit.part}", "{limit.figure}")' in inspect.getsource(enforce), limit
"""
    bench(code)
