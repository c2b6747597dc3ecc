"""How long a piece of work takes, on the wall and on the processor."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def timed(name: str, work: Callable[[], Any], runs: int = 3) -> dict[str, float]:
    """The best of some runs, on the wall and on the processor."""
    wall, cpu = [], []
    for _ in range(runs):
        start, spent = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - spent)
    return {f"{name}_s": min(wall), f"{name}_cpu_s": min(cpu)}
