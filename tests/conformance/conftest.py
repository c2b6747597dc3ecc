"""A folder of their own for the labs of these tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """Names of Unix sockets are limited, so not pytest's own."""
    folder = Path(mkdtemp(prefix="ewc-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
