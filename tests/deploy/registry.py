"""Every family that some part of eastwest publishes, found where it is defined, and the names that queries use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from eastwest.agent.metrics import families as metrics_families
from eastwest.agent.metrics import reference as metrics_reference
from eastwest.collector import metrics as collector_metrics
from eastwest.enforce import metrics as enforce_metrics
from eastwest.enforce.rollout import metrics as rollout_metrics
from eastwest.query.metrics import traffic
from eastwest.runtime.openmetrics import Family

NAME = re.compile(r"\beastwest_[a-z0-9_]+\b")


def _families(value: Any) -> Iterator[Family]:
    if isinstance(value, Family):
        yield value
    elif isinstance(value, dict):
        yield from (f for f in value.values() if isinstance(f, Family))


AGENT = metrics_families.FAMILIES
REFERENCE = metrics_reference.REFERENCE_FAMILIES
SERVER = tuple(f for value in vars(collector_metrics).values() for f in _families(value))
TRAFFIC = traffic.FAMILIES
ENFORCEMENT = tuple(
    f for module in (enforce_metrics, rollout_metrics) for value in vars(module).values() for f in _families(value)
)
ALL = (*AGENT, *REFERENCE, *SERVER, *ENFORCEMENT, *TRAFFIC)
SAMPLES = {name: family for family in ALL for name in family.sample_names()}


def names_in(promql: str) -> set[str]:
    """The metric names of a query."""
    return set(NAME.findall(promql))
