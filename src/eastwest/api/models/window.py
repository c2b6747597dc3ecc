"""The time range that an answer speaks of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field


class Window(BaseModel):
    """The time range that was answered; `recorded` is true when it comes from an evidence bundle."""

    start_ns: int
    end_ns: int
    recorded: bool = False


Incomplete = Annotated[
    list[str],
    Field(
        default_factory=list,
        description="what is missing from the answer's range, in words, worst first (the sentences of /api/v1/coverage)",
    ),
]
