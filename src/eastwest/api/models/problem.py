"""What every failed request is answered with."""

from __future__ import annotations

from pydantic import BaseModel


class Problem(BaseModel):
    """RFC 9457 problem details; `parameter` names what to change."""

    title: str
    detail: str
    status: int
    parameter: str | None = None
    position: int | None = None
    end: int | None = None
