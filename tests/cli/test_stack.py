"""Whatever happens to the process that started everything, nothing stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from eastwest.lab.cgroups import lab_root
from eastwest.runtime.paths import run_dir

STARTER = """
import sys, time
from eastwest.cli._stack import Plan, Stack
stack = Stack(Plan([], name=sys.argv[1], nodes=1, listen="127.0.0.1:0"))
with stack:
    print(stack.folder, flush=True)
    time.sleep(600)
"""


@pytest.mark.root
def test_after_kill_9_everything_is_cleaned_up() -> None:
    name = f"reap{os.getpid() % 100000}"
    starter = subprocess.Popen([sys.executable, "-c", STARTER, name], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    folder = Path(starter.stdout.readline().strip())
    assert lab_root(name).exists()
    assert folder.is_dir()
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    starter.stdout.close()
    left = [lab_root(name), run_dir() / "lab" / name, folder]
    deadline = time.monotonic() + 30
    while any(path.exists() for path in left):
        assert time.monotonic() < deadline, [str(path) for path in left if path.exists()]
        time.sleep(0.1)
