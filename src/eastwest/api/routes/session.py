"""Signing in with the server's token, for browsers."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from eastwest.api.models import Login, Problem, Session
from eastwest.api.services import Given

router = APIRouter(tags=["session"])


@router.get("/api/v1/session", operation_id="session")
def session(services: Given, request: Request) -> Session:
    """Whether a token is needed, and whether this caller has one. Open to everyone."""
    raise NotImplementedError


@router.post("/api/v1/session", operation_id="signIn", responses={401: {"model": Problem}})
def sign_in(services: Given, login: Login, response: Response) -> Session:
    """Trade the token for an HttpOnly cookie."""
    raise NotImplementedError
