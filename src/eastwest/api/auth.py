"""Who may ask. Without a token only this machine may, under its own names; with one, whoever holds it."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from fastapi import Depends, Request
from starlette.exceptions import HTTPException

from eastwest.api.services import Given, Services
from eastwest.runtime.tokens import bearer, same

COOKIE: Final = "eastwest_session"
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})


def session_value(token: str) -> str:
    """What the browser keeps instead of the token itself."""
    return hmac.new(token.encode(), b"eastwest session", hashlib.sha256).hexdigest()


def signed_in(services: Services, request: Request) -> bool:
    """Whether the caller showed the token or the cookie that stands for it."""
    if services.token is None:
        return True
    given = bearer(request.headers.get("authorization"))
    if given is not None:
        return same(given, services.token)
    cookie = request.cookies.get(COOKIE)
    return cookie is not None and same(cookie, session_value(services.token))


def _host(request: Request) -> str:
    host = request.headers.get("host", "").strip().lower()
    return host if host.endswith("]") else host.rsplit(":", 1)[0] if ":" in host else host


def _authorised(services: Given, request: Request) -> None:
    if not signed_in(services, request):
        raise HTTPException(
            401, "send the server's token as: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"}
        )
    if services.token is None and services.hosts and _host(request) not in services.hosts:
        raise HTTPException(403, f"this server does not answer as {_host(request)!r}: use http://localhost")


Authorised = Depends(_authorised)


def _own_pages(request: Request) -> None:
    """A page of another site may make a browser send a POST here; it cannot hide where it comes from."""
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("host", ""):
        raise HTTPException(403, f"changes are not taken from pages of {origin}")


OwnPages = Depends(_own_pages)
