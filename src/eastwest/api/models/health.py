"""Whether the server is well."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class StoreHealth(BaseModel):
    ready: bool
    engine: str
    restarts: int = Field(description="times the store's process was started again after it died")
    rows: int | None = None
    disk_bytes: int | None = None


class AwsRangesUsed(BaseModel):
    source: str
    created_s: float = Field(description="when Amazon made them, Unix time")
    prefixes: int
    complaint: str | None = Field(description="why the newest copy is not in use; null when all is well")


class Health(BaseModel):
    """200 with ok, 503 with anything else."""

    status: Literal["ok", "starting", "degraded"]
    version: str
    started_ns: int
    recorded: bool = Field(description="the server plays an evidence bundle and takes no new flows")
    store: StoreHealth
    last_batch_ns: int | None = Field(None, description="when the newest accepted batch arrived; null before the first")
    aws_ranges: AwsRangesUsed | None = Field(None, description="what addresses of AWS services are named by")
    reasons: list[str] = Field(default_factory=list, description="why the status is not ok")
