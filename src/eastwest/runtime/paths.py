"""Where eastwest keeps things on a machine, and its two defaults. Refuses to create anything by itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

DEFAULT_LISTEN: Final = "127.0.0.1:7420"
DEFAULT_SERVER: Final = f"http://{DEFAULT_LISTEN}"


def run_dir() -> Path:
    """State that need not survive a reboot: sockets, locks, the lab. $EASTWEST_RUN_DIR or /run/eastwest."""
    return Path(os.environ.get("EASTWEST_RUN_DIR", "/run/eastwest"))


def state_dir() -> Path:
    """State that must: the embedded store, spools. $EASTWEST_STATE_DIR or /var/lib/eastwest."""
    return Path(os.environ.get("EASTWEST_STATE_DIR", "/var/lib/eastwest"))


def server_url() -> str:
    """The server that terminal commands talk to unless --server says otherwise."""
    return os.environ.get("EASTWEST_SERVER", DEFAULT_SERVER)
