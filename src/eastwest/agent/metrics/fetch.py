"""Asks the server for the names of this node's pods, while some are missing. A thread of its own; never the tick's."""

from __future__ import annotations

import logging
import threading
import urllib.parse
from collections.abc import Callable, Collection
from typing import Final

from eastwest.agent.metrics.names import NAMES_PATH, PodNames, parse_names
from eastwest.wire import http1
from eastwest.wire.client import TIMEOUT_S

log = logging.getLogger(__name__)

EVERY_S: Final = 5.0
AT_ONCE: Final = 100
_REPLY_LIMIT_BYTES: Final = 1 << 20


class NameFetcher:
    """Inert until `start`. `wanted` gives the UIDs of pods without a name, `token` the node's token as it is now."""

    def __init__(
        self,
        names: PodNames,
        wanted: Callable[[], Collection[str]],
        *,
        server: str,
        token: Callable[[], str],
        cluster: str,
        node: str,
        every_s: float = EVERY_S,
    ) -> None:
        self._names, self._wanted, self._every_s = names, wanted, every_s
        self._server = http1.server(server, TIMEOUT_S)
        self._token = token
        self._query = (("cluster", cluster), ("node", node))
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pod-names", daemon=True)

    def start(self) -> None:
        """Begin asking."""
        self._thread.start()

    def stop(self) -> None:
        """Return when nothing runs any more."""
        self._stopping.set()
        self._thread.join()

    def fetch(self, pod_uids: Collection[str]) -> None:
        """Ask once. Raises OSError or ValueError."""
        path = f"{NAMES_PATH}?{urllib.parse.urlencode((*self._query, *(('uid', uid) for uid in pod_uids)))}"
        headers = {"Authorization": f"Bearer {self._token()}"}
        response = self._server.request("GET", path, headers, reply_limit_bytes=_REPLY_LIMIT_BYTES)
        if response.status != 200:
            raise OSError(f"HTTP {response.status}")
        self._names.learn(parse_names(response.body))

    def _run(self) -> None:
        while not self._stopping.wait(self._every_s):
            wanted = sorted(self._wanted())[:AT_ONCE]
            if not wanted:
                continue
            try:
                self.fetch(wanted)
            except (OSError, ValueError) as error:
                log.info("pod names: %s", error)
