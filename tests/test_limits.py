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
assert show({"drain": {"merge": 60.1}})
from bench.metrics import show
assert not show({"agent": {"scrape CPU ms": 19.9}, "server": {}})
assert show({"agent": {"scrape CPU ms": 20.1}, "server": {}})
"""
    assert bench(code).count("BROKEN") == 3


def test_every_limit_speaks_of_something_that_is_measured() -> None:
    code = """
import inspect
from bench import agent, agent_connection, agent_process, enforce, metrics
from bench.limits import limits
source = inspect.getsource(agent) + inspect.getsource(agent_process) + inspect.getsource(agent_connection)
for limit in limits():
    if limit.bench == "metrics":
        assert f'"{limit.figure}"' in inspect.getsource(metrics), limit
    elif limit.bench == "agent":
        assert f'"{limit.part}"' in source, limit
        assert limit.figure == "*" or limit.figure.endswith(" ns a run") or f'"{limit.figure}"' in source, limit
    else:
        assert f'limit_of("{limit.bench}", "{limit.part}", "{limit.figure}")' in inspect.getsource(enforce), limit
"""
    bench(code)


RESULTS = """
share = {"ratio": 0.95, "ratio low quartile": 0.9, "ratio high quartile": 1, "control": 1, "cpu ratio": 0.96, "cpu control": 1.01}
share |= {"rate": 13456, "CPU us a trip": 90.1, "hook us a trip": 7.5, "agent us a trip": 1.5, "packets a trip": 10, "blocks": 40}
results = {"machine": {"time": "2026-01-02T03:04:05Z", "kernel": "6.18", "cpus": 2, "load before": 0.1}}
results |= {"process": {"RSS MiB": 45.5, "edges a window": 1000.0}, "throughput": {}}
results["throughput"]["HTTP new connections, every capture hook"] = share
results["throughput"]["HTTP new connections, every hook, policies in force"] = share
"""


def test_what_was_measured_becomes_the_documentations_table() -> None:
    made = bench(RESULTS + "from bench.table import tables; print(tables(results), end='')")
    assert "Measured 2026-01-02 03:04 UTC, kernel 6.18, 2 cores, load before 0.1." in made
    assert "| RSS MiB | **45.5, past the limit** | 45 |" in made
    assert "| edges a window | 1000 |  |" in made
    figures = "40 blocks | 0.950 | 0.900–1.000 | 1.000 | 0.960 (1.010) | 13,456 | 90.1 | 7.5 | 1.5"
    assert f"| HTTP new connections, every capture hook, {figures} | ≥ 0.9 |" in made
    assert f"| HTTP new connections, every hook, policies in force, {figures} | ≥ 0.86 |" in made


def test_what_is_written_replaces_what_was_measured_before() -> None:
    code = (
        "from bench.table import PAGE, written; page = PAGE.read_text(); new = written(written(page, 'old '), 'new ')\n"
    )
    assert bench(code + "print(new.count('new '), 'old ' in new, len(new) > 1000, '## Server' in new)").split()[1:] == [
        "False",
        "True",
        "True",
    ]


def test_every_block_compares_both_kinds_of_agent_with_none() -> None:
    code = """
from bench import agent  # the path to the tests' packets
from bench.agent_throughput import Block, WithAgent, figures
from bench.load import Slice
off, again = Slice(1.0, 1000, 2.0, 10_000), Slice(1.0, 1010, 2.0, 10_000)
on = {"recording": WithAgent(Slice(1.0, 920, 2.0, 9_200), 0.046), "enforcing": WithAgent(Slice(1.0, 880, 2.0, 8_800), 0.088)}
recording, enforcing = (figures([Block(off, again, on)] * 2, kind) for kind in on)
assert (recording["ratio"], enforcing["ratio"], enforcing["control"]) == (0.92, 0.88, 1.01)
assert (recording["agent us a trip"], enforcing["agent us a trip"], recording["packets a trip"]) == (50, 100, 10)
"""
    bench(code)


def test_a_scrape_is_measured() -> None:
    code = """
from bench import metrics
metrics.ROUNDS = 1
found = metrics.measure()
assert found["agent"]["scrape CPU ms"] > 0
assert found["agent"]["series"] > 10_000
assert found["server"]["kB"] > 1_000
"""
    bench(code)
