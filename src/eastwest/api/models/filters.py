"""A filter's text: what is wrong with it, and what could follow."""

from __future__ import annotations

from pydantic import BaseModel, Field


class FilterIssue(BaseModel):
    """Why a filter was not understood: `position` and `end` are character offsets, end exclusive."""

    message: str
    position: int
    end: int


class FilterCheck(BaseModel):
    """Answer of /api/v1/filter/complete: lint and completions at the cursor."""

    error: FilterIssue | None
    completions: list[str]
    replace_from: int = Field(description="offset where a completion replaces text up to the cursor")
