"""Signing in."""

from __future__ import annotations

from pydantic import BaseModel


class Login(BaseModel):
    token: str


class Session(BaseModel):
    """Whether this server asks for a token, and whether the caller already has one."""

    token_required: bool
    signed_in: bool
