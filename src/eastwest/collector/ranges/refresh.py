"""Keeps the AWS ranges fresh from a file or a URL: a new copy is checked whole before it is used, the last good one stays.

Amazon publishes a few changes a week. What is refused is said once, with what is still in use and how old it is.
"""

from __future__ import annotations

import logging
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from eastwest.collector.ranges import aws
from eastwest.collector.ranges.aws import AwsRanges

log = logging.getLogger(__name__)

EVERY_S: Final = 3600.0
FILE_EVERY_S: Final = 5.0
TIMEOUT_S: Final = 30.0
MAX_BYTES: Final = 64 << 20
SHRUNK: Final = 0.5
"""A copy with less than this share of the prefixes in use is taken for cut short."""


class RangesError(ValueError):
    """A copy that is not used; the text says why."""


@dataclass(frozen=True, slots=True)
class RangesUsed:
    """What the ranges in use are. `complaint`: why the last copy was not used; None when all is well."""

    source: str
    created_s: float  # Unix time, as the publisher dates it
    prefixes: int
    complaint: str | None = None


class RangesFeed:
    """Give `ranges` to the enricher: it is asked for every batch. `start` reads once and then follows."""

    def __init__(self, where: str | None, last_good: Path, every_s: float | None = None) -> None:
        """`where`: a file's path or an http(s) URL, None for the copy in the package; `last_good`: where to keep one."""
        self._where, self._last_good = where, last_good
        self._every_s = every_s or (EVERY_S if _is_url(where) else FILE_EVERY_S)
        self._ranges = aws.shipped()
        self._source = "eastwest"
        self._complaint: str | None = None
        self._seen: tuple[int, int] | None = None  # of the file: when and how long, so that it is not read for nothing
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Raises RangesError when a file was named and is not usable: a URL may be away for a while, a file may not."""
        if self._where is None:
            return
        if self._last_good.exists():
            self._take(self._last_good.read_bytes(), f"{self._where} (kept)", keep=False)
        self.refresh()
        if self._complaint is not None and not _is_url(self._where):
            raise RangesError(f"--aws-ranges {self._where}: {self._complaint}")
        self._thread = threading.Thread(target=self._run, name="aws-ranges", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def ranges(self) -> AwsRanges:
        """Those in use."""
        return self._ranges

    def used(self) -> RangesUsed:
        """What is in use, for people."""
        return RangesUsed(self._source, created_s(self._ranges), self._ranges.prefixes, self._complaint)

    def refresh(self) -> None:
        """Read once. Never raises: what is wrong is in `used().complaint`."""
        assert self._where is not None
        try:
            raw = _fetch(self._where) if _is_url(self._where) else self._read(Path(self._where))
        except (OSError, ValueError) as error:
            self._complain(str(error))
            return
        if raw is not None:
            self._take(raw, self._where, keep=True)

    def _read(self, path: Path) -> bytes | None:
        stat = path.stat()
        if self._seen == (stat.st_mtime_ns, stat.st_size):
            return None
        self._seen = stat.st_mtime_ns, stat.st_size
        return path.read_bytes()

    def _take(self, raw: bytes, source: str, *, keep: bool) -> None:
        try:
            made = aws.parse(raw.decode(), source)
            if made.prefixes < self._ranges.prefixes * SHRUNK:
                raise ValueError(f"{made.prefixes} prefixes instead of {self._ranges.prefixes}: cut short?")
            if created_s(made) < created_s(self._ranges):
                raise ValueError(f"of {made.created}, older than what is in use ({self._ranges.created})")
        except (ValueError, UnicodeDecodeError) as error:
            self._complain(str(error))
            return
        if keep:
            try:
                fresh = self._last_good.with_suffix(".new")
                fresh.write_bytes(raw)
                fresh.replace(self._last_good)
            except OSError as error:
                log.warning("AWS ranges cannot be kept for the next start: %s", error)
        self._ranges, self._source, self._complaint = made, source, None

    def _complain(self, why: str) -> None:
        if why != self._complaint:
            days = (time.time() - created_s(self._ranges)) / 86400
            log.warning("AWS ranges: %s; still using those of %s (%.0f days old)", why, self._ranges.created, days)
        self._complaint = why

    def _run(self) -> None:
        while not self._stopping.wait(self._every_s):
            self.refresh()


def created_s(ranges: AwsRanges) -> float:
    """When the publisher made them, Unix time."""
    return datetime.strptime(ranges.created, "%Y-%m-%d-%H-%M-%S").replace(tzinfo=UTC).timestamp()


def _is_url(where: str | None) -> bool:
    return where is not None and where.startswith(("http://", "https://"))


def _fetch(url: str) -> bytes:
    """Raises OSError, ValueError."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:  # noqa: S310 - http and https only, see _is_url
            raw: bytes = response.read(MAX_BYTES + 1)
    except urllib.error.HTTPError as error:
        raise OSError(f"the server answered {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise OSError(f"{error.reason}") from None
    if len(raw) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES >> 20} MiB")
    return raw


Provider = Callable[[], AwsRanges]
