"""What a server answers from its first moment on: that it lives, what it is busy with, and 503 to everything else until the
application is there. Knows neither the parts that start nor their order."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from eastwest import __version__
from eastwest.api import problems
from eastwest.api.models.health import Health, StoreHealth

RETRY_AFTER_S: Final = 1
_HEADERS: Final = {"Retry-After": str(RETRY_AFTER_S), "Connection": "close"}  # nobody reads a body that is on its way


class Starting:
    """An ASGI application that stands in for another until that one is `ready`.

    `doing` says what keeps it, in words for people; from any thread.
    """

    def __init__(self, recorded: bool = False, clock: Callable[[], int] = time.time_ns) -> None:
        self.doing = "starting"
        self._recorded = recorded
        self._started_ns = clock()
        self._app: ASGIApp | None = None

    def ready(self, app: ASGIApp) -> None:
        """Hand every further request to `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app or self._answer(scope)
        await app(scope, receive, send)

    def _answer(self, scope: Scope) -> ASGIApp:
        path, reason = scope.get("path"), f"not ready: {self.doing}"
        if path == "/livez":
            return JSONResponse({"status": "alive"})
        if path == "/healthz":
            health = Health(
                status="starting",
                version=__version__,
                started_ns=self._started_ns,
                recorded=self._recorded,
                store=StoreHealth(ready=False, engine="not known yet", restarts=0),
                last_batch_ns=None,
                aws_ranges=None,
                reasons=[reason],
            )
            return JSONResponse(health.model_dump(), 503, headers=_HEADERS)
        return problems.respond(problems.problem(503, f"{reason}; try again in a moment"), _HEADERS)
