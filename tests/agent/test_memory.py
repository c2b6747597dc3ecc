"""The allocator takes our wishes here."""

from __future__ import annotations

import subprocess
import sys


def test_no_huge_pages() -> None:
    code = "from eastwest.agent.memory import keep_small; keep_small(); print(open('/proc/self/status').read())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "THP_enabled:\t0" in done.stdout


def test_the_knobs_are_taken() -> None:
    code = "from eastwest.agent.memory import keep_small; print(keep_small())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_what_costs_megabytes_is_not_loaded() -> None:
    """libcrypto (4 MiB, by hashlib, secrets, hmac or ssl) and numpy.ma (10 MiB) would be on every node for nothing."""
    code = "import sys, eastwest.agent.agent, eastwest.cli.agent; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"_hashlib", "_ssl", "numpy.ma", "urllib.request", "asyncio"} & set(done.stdout.split())
