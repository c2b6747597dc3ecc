"""Logging to standard error, one line per event, the same everywhere."""

from __future__ import annotations

import logging
import sys

LEVELS = ("debug", "info", "warning", "error")


def set_up(level: str = "info") -> None:
    """Replace whatever logging was set up before."""
    logging.basicConfig(
        stream=sys.stderr,
        level=level.upper(),
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        force=True,
    )
    logging.getLogger("uvicorn").setLevel("WARNING" if level != "debug" else "DEBUG")
