"""Steps 4 and 5 of the story: the policies go on step by step, and every path that was not observed is closed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from eastwest.cli.story.probes import compared, table
from eastwest.cli.story.scene import Json, Scene, check

HOLD: Final = "4s"


def staged_rollout(scene: Scene) -> str:
    """Off, audit, enforce: node by node, and not one purchase fails."""
    scene.apply(scene.policies)
    before = scene.purchases()
    found = roll_out(scene, "2")
    check(found["status"] == "done", f"the rollout is {found['status']}: {why(found)}")
    modes = {c[direction] for c in found["cells"] for direction in ("ingress", "egress")}
    check(modes == {"enforce"}, f"modes after the rollout: {modes}")
    scene.sell(12)
    sold = scene.purchases().since(before)
    check(sold.failed == 0, f"{sold.failed} purchases failed: {scene.last_failure()}")
    return f"{len(found['steps'])} steps, {len({c['node'] for c in found['cells']})} nodes"


def roll_out(scene: Scene, budget: str, hold: str = HOLD, *, wait: bool = True, more: Sequence[str] = ()) -> Json:
    """Start a rollout of every namespace that has generated policies; where it stands, with `wait` at its end."""
    words = [w for namespace in enforced(scene) for w in ("-n", namespace)]
    options = ("--budget", budget, "--hold", hold, "--lookback", "15m", *(("--wait",) if wait else ()))
    found: Json = scene.ask("rollout", "start", *words, *options, *more, codes=(0, 1))
    return found


def enforced(scene: Scene) -> list[str]:
    """The namespaces that have generated policies."""
    return sorted(folder.name for folder in scene.policies.iterdir() if folder.is_dir())


def why(rollout: Json) -> str:
    return "; ".join(f["text"] for stop in rollout["stops"] for f in stop["findings"]) or str(rollout["trouble"])


def closed_paths(scene: Scene) -> str:
    """Every pair of pods × declared ports × TCP and UDP × IPv4 and IPv6: the wire says what the engine says."""
    cells = table(scene.cluster())
    wrong, reached, denied = compared(scene.lab, cells)
    check(not wrong, f"{len(wrong)} of {len(cells)} cells differ: {'; '.join(wrong[:5])}")
    return f"{len(cells)} cells as the engine says: {reached} open, {denied} closed"
