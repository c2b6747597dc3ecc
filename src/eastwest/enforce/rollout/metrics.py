"""The rollout on the server's metrics page: how far it is, whether a gate stopped it and which one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from eastwest.enforce.rollout.driver import View
from eastwest.enforce.rollout.gates import Gate
from eastwest.enforce.rollout.machine import Status
from eastwest.runtime.openmetrics import Exposition, Family, Kind, label_text

_STATUS: Final = Family(
    "eastwest_rollout_status",
    Kind.GAUGE,
    "1 for the status of the newest rollout, 0 for all others.",
    labels=("status",),
)
_STEPS: Final = Family("eastwest_rollout_steps", Kind.GAUGE, "Steps of the newest rollout.")
_APPLIED: Final = Family(
    "eastwest_rollout_steps_in_force", Kind.GAUGE, "Steps of the newest rollout that are in force."
)
_FINDINGS: Final = Family(
    "eastwest_rollout_findings",
    Kind.GAUGE,
    "What each gate found, while the newest rollout is stopped.",
    labels=("gate",),
)
_BLIND: Final = Family(
    "eastwest_rollout_blind", Kind.GAUGE, "1 while the rollout cannot be watched: it does not go on before it can."
)


def families(view: Callable[[], View | None]) -> Callable[[Exposition], None]:
    """Adds the families to one answer; none before the first rollout."""

    def write(out: Exposition) -> None:
        seen = view()
        if seen is None:
            return
        state = seen.state
        found = Counter[Gate]()
        if state.status is Status.STOPPED and state.stops:
            found.update(finding.gate for finding in state.stops[-1].findings)
        out.write(_STATUS, [label_text(("status",), (s,)) for s in Status], [int(s is state.status) for s in Status])
        out.write(_STEPS, [""], [len(state.steps)])
        out.write(_APPLIED, [""], [state.applied])
        out.write(_FINDINGS, [label_text(("gate",), (g,)) for g in Gate], [found[g] for g in Gate])
        out.write(_BLIND, [""], [int(seen.trouble is not None)])

    return write
