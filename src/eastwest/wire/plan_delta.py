"""What changed from one plan of a node to the next: rows gone and come, pods and reasons that differ.

A delta names the plan it belongs to and the plan it leads to, both by version and digest, and is refused elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eastwest.model.plan import CELLS, IDENTITIES, PORTS, Mode, NodePlan, PlanPod, Posture, Reason
from eastwest.wire import plan as whole
from eastwest.wire import plan_rows
from eastwest.wire.plan_header import REASONS, pack_pod, pack_reasons, unpack_reasons
from eastwest.wire.plan_rows import PlanError

ARRAYS: Final = {"identities": IDENTITIES, "cells": CELLS, "ports": PORTS}
_PARTS: Final = {
    **{f"{name}_{change}": dtype for name, dtype in ARRAYS.items() for change in ("removed", "added")},
    "reason_numbers": np.dtype("<u4"),
    "reasons": REASONS,
}


@dataclass(frozen=True, slots=True)
class PlanDelta:
    """`removed` and `added` by array; `pods` are new or changed; `reasons` are new ones by number."""

    node: str
    base_version: int
    base_digest: str
    version: int
    digest: str
    pods: tuple[PlanPod, ...]
    gone_pods: tuple[str, ...]
    reasons: Mapping[int, Reason]
    n_reasons: int
    removed: Mapping[str, NDArray[Any]]
    added: Mapping[str, NDArray[Any]]
    ranges: tuple[str, ...]
    posture: Posture
    unknown_mode: Mode
    gone_sources: tuple[str, ...]
    new_sources: tuple[str, ...]


def delta(old: NodePlan, new: NodePlan) -> PlanDelta:
    """From `old` to `new`, both sealed. Raises PlanError when they are two nodes'."""
    if old.node != new.node:
        raise PlanError(f"plans of two nodes: {old.node!r} and {new.node!r}")
    old, new = whole.canonical(old), whole.canonical(new)
    before = {p.uid: p for p in old.pods}
    changes = {name: plan_rows.difference(getattr(old, name), getattr(new, name)) for name in ARRAYS}
    return PlanDelta(
        node=new.node,
        base_version=old.version,
        base_digest=old.digest,
        version=new.version,
        digest=new.digest,
        pods=tuple(p for p in new.pods if before.get(p.uid) != p),
        gone_pods=tuple(sorted(before.keys() - {p.uid for p in new.pods})),
        reasons={
            i: reason for i, reason in enumerate(new.reasons) if i >= len(old.reasons) or old.reasons[i] != reason
        },
        n_reasons=len(new.reasons),
        removed={name: removed for name, (removed, _) in changes.items()},
        added={name: added for name, (_, added) in changes.items()},
        ranges=new.ranges,
        posture=new.posture,
        unknown_mode=new.unknown_mode,
        gone_sources=tuple(sorted(set(old.sources) - set(new.sources))),
        new_sources=tuple(sorted(set(new.sources) - set(old.sources))),
    )


def apply(old: NodePlan, change: PlanDelta) -> NodePlan:
    """The plan that `change` leads to. Raises PlanError when it belongs to another plan or leads to an unsound one."""
    if (old.node, old.version, old.digest) != (change.node, change.base_version, change.base_digest):
        raise PlanError(
            f"the delta is for plan {change.base_version} ({change.base_digest}) of node {change.node!r}, "
            f"here is {old.version} ({old.digest}) of node {old.node!r}"
        )
    old = whole.canonical(old)
    pods = {p.uid: p for p in old.pods}
    for uid in change.gone_pods:
        if pods.pop(uid, None) is None:
            raise PlanError(f"pods: the delta removes {uid!r}, which the plan does not have")
    pods.update({p.uid: p for p in change.pods})
    arrays = {
        name: plan_rows.changed(getattr(old, name), change.removed[name], change.added[name], name) for name in ARRAYS
    }
    plan = whole.canonical(
        replace(
            old,
            version=change.version,
            digest=change.digest,
            pods=tuple(pods.values()),
            reasons=_reasons(old.reasons, change),
            ranges=change.ranges,
            posture=change.posture,
            unknown_mode=change.unknown_mode,
            sources=tuple((set(old.sources) - set(change.gone_sources)) | set(change.new_sources)),
            identities=arrays["identities"],
            cells=arrays["cells"],
            ports=arrays["ports"],
        )
    )
    whole.verify(plan)
    return plan


def _reasons(old: tuple[Reason, ...], change: PlanDelta) -> tuple[Reason, ...]:
    kept = list(old[: change.n_reasons])
    for number, reason in sorted(change.reasons.items()):
        if number < len(kept):
            kept[number] = reason
        elif number == len(kept):
            kept.append(reason)
    if len(kept) != change.n_reasons:
        raise PlanError(f"reasons: the delta leaves {len(kept)} of {change.n_reasons}")
    return tuple(kept)


def encode_delta(change: PlanDelta) -> bytes:
    """As bytes (the frame of `wire.plan`)."""
    words, reasons = pack_reasons(list(change.reasons.values()))
    header = {
        "node": change.node,
        "base_version": change.base_version,
        "base_digest": change.base_digest,
        "version": change.version,
        "digest": change.digest,
        "pods": [pack_pod(p) for p in change.pods],
        "gone_pods": list(change.gone_pods),
        "words": words,
        "n_reasons": change.n_reasons,
        "ranges": list(change.ranges),
        "posture": change.posture,
        "unknown_mode": change.unknown_mode,
        "gone_sources": list(change.gone_sources),
        "new_sources": list(change.new_sources),
    }
    parts = {f"{n}_{c}": getattr(change, c)[n] for n in ARRAYS for c in ("removed", "added")}
    numbers = np.array(list(change.reasons), "<u4")
    return whole.frame(whole.DELTA, header, {**parts, "reason_numbers": numbers, "reasons": reasons})


def decode_delta(raw: bytes) -> PlanDelta:
    """The inverse of `encode_delta`. Raises PlanError for everything else."""
    header, parts = whole.unframe(raw, whole.DELTA, _PARTS)
    numbers, reasons = parts["reason_numbers"].tolist(), unpack_reasons(header.texts("words"), parts["reasons"])
    if len(numbers) != len(reasons):
        raise PlanError(f"reasons: {len(reasons)} reasons with {len(numbers)} numbers")
    return PlanDelta(
        node=header.text("node"),
        base_version=header.integer("base_version"),
        base_digest=header.text("base_digest"),
        version=header.integer("version"),
        digest=header.text("digest"),
        pods=header.pods("pods"),
        gone_pods=tuple(header.texts("gone_pods")),
        reasons=dict(zip(numbers, reasons, strict=True)),
        n_reasons=header.integer("n_reasons"),
        removed={name: plan_rows.canonical(parts[f"{name}_removed"]) for name in ARRAYS},
        added={name: plan_rows.canonical(parts[f"{name}_added"]) for name in ARRAYS},
        ranges=header.networks("ranges"),
        posture=header.word("posture", Posture),
        unknown_mode=header.word("unknown_mode", Mode),
        gone_sources=tuple(header.texts("gone_sources")),
        new_sources=tuple(header.texts("new_sources")),
    )


def read(raw: bytes, base: NodePlan | None) -> NodePlan:
    """The plan that a frame gives: a snapshot by itself, a delta upon `base`. Raises PlanError."""
    kind, _ = whole.kind_of(raw)
    if kind == whole.SNAPSHOT:
        return whole.decode(raw)
    if base is None:
        raise PlanError("a delta without a plan that it belongs to: ask for a snapshot")
    return apply(base, decode_delta(raw))
