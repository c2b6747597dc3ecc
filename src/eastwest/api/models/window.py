"""The time range that an answer speaks of."""

from __future__ import annotations

from pydantic import BaseModel


class Window(BaseModel):
    """The time range that was answered; `recorded` is true when it comes from an evidence bundle."""

    start_ns: int
    end_ns: int
    recorded: bool = False
