"""Signing in with the server's token, for browsers."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from eastwest.api.auth import COOKIE, session_value, signed_in
from eastwest.api.models.problem import Problem
from eastwest.api.models.session import Login, Session
from eastwest.api.services import Given
from eastwest.runtime.tokens import same

router = APIRouter(tags=["session"])


@router.get("/api/v1/session", operation_id="session")
def session(services: Given, request: Request) -> Session:
    """Whether a token is needed, and whether this caller has one. Open to everyone."""
    return Session(token_required=services.token is not None, signed_in=signed_in(services, request))


@router.post("/api/v1/session", operation_id="signIn", responses={401: {"model": Problem}})
def sign_in(services: Given, login: Login, request: Request, response: Response) -> Session:
    """Trade the token for an HttpOnly cookie."""
    if services.token is not None:
        if not same(login.token.strip(), services.token):
            raise HTTPException(401, "this is not the server's token")
        response.set_cookie(
            COOKIE,
            session_value(services.token),
            max_age=30 * 24 * 3600,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
    return Session(token_required=services.token is not None, signed_in=True)
