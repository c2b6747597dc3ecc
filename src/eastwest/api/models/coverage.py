"""How much of what happened is in the data: per node, pod and window."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from eastwest.api.models.window import Window


class Loss(BaseModel):
    bytes: int
    packets: int


class HookReport(BaseModel):
    name: str
    state: Literal["on", "off", "refused"]
    reason: str | None = None
    columns: list[str] = Field(default_factory=list, description="columns that are unknown without this hook")


class Books(BaseModel):
    """The books of something that was reported, so that nothing of them is unknown, as it may be in NodeCoverage."""

    node: str
    hook_bytes: int
    hook_packets: int
    recorded_bytes: int
    recorded_packets: int
    lost: dict[str, Loss]
    unexplained_bytes: int
    unexplained_packets: int
    ratio: float


class NodeCoverage(BaseModel):
    """The books of one node over the window."""

    node: str
    state: Literal["reporting", "silent", "never"] = Field(
        description="silent: it reported once, but not for three of its windows"
    )
    last_window_end_ns: int | None
    hook_bytes: int | None
    hook_packets: int | None
    recorded_bytes: int | None
    recorded_packets: int | None
    lost: dict[str, Loss] = Field(default_factory=dict, description="declared losses by cause")
    unexplained_bytes: int | None = Field(description="hook - recorded - every declared cause; must be 0")
    unexplained_packets: int | None
    folded_edges: int = Field(0, description="edges beyond the node's budget that add up in __other__ of their pods")
    gaps_ns: list[tuple[int, int]] = Field(
        default_factory=list, description="windows inside the range without a report"
    )
    clock_skew_ns: int | None = None
    hooks: list[HookReport] = Field(default_factory=list)


class PodCoverage(Books):
    """The books of one pod's interface over the window."""

    namespace: str | None
    pod: str | None = Field(description="null when the inventory does not know the UID")
    pod_uid: str | None = Field(description="null: an interface whose pod was never known")
    interface: str


class WindowCoverage(Books):
    """The books of one node for one window of its agent."""

    window_start_ns: int
    window_end_ns: int
    clock_skew_ns: int
    folded_edges: int


class Coverage(BaseModel):
    """How much of what happened is in the data. `ratio` is recorded/hook bytes, null when nothing was reported."""

    window: Window
    complete: bool
    ratio: float | None
    hook_bytes: int | None
    recorded_bytes: int | None
    lost: dict[str, Loss] = Field(default_factory=dict)
    unexplained_bytes: int | None
    unexplained_packets: int | None
    nodes: list[NodeCoverage]
    sentences: list[str] = Field(description="what is missing and why, in words, worst first; empty when complete")
    notes: list[str] = Field(
        default_factory=list,
        description="what was missing for a while and came later, in words: windows that waited for the server",
    )
    pods: list[PodCoverage] | None = Field(None, description="with by=pod: the worst first")
    windows: list[WindowCoverage] | None = Field(None, description="with by=window: the newest first")
