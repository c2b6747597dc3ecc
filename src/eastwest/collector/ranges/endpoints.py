"""Which AWS service a name stands for: how private addresses (interface endpoints, databases, load balancers) are told."""

from __future__ import annotations

import re
from typing import Final

from eastwest.collector.ranges.aws import AwsRange

_SUFFIX: Final = re.compile(r"\.amazonaws\.com(\.cn)?\.?$", re.IGNORECASE)
_REGION: Final = re.compile(r"[a-z]{2}(-[a-z]+){1,2}-\d")
_ENDPOINT: Final = "vpce"


def endpoint(name: str) -> AwsRange | None:
    """Service (as ip-ranges.json spells it: upper case) and region of a name under amazonaws.com; else None.

    sqs.eu-west-1.amazonaws.com, vpce-0a1-b.sqs.eu-west-1.vpce.amazonaws.com, x.dkr.ecr.eu-west-1.amazonaws.com: the label
    before the region; db.abc.eu-west-1.rds.amazonaws.com: the one behind it; s3.amazonaws.com: no region, "GLOBAL".
    """
    stem, found = _SUFFIX.subn("", name.lower())
    labels = [label for label in stem.split(".") if label]
    if not found or not labels:
        return None
    at = next((i for i in reversed(range(len(labels))) if _REGION.fullmatch(labels[i])), None)
    if at is None:
        return AwsRange(labels[-1].upper(), "GLOBAL")
    behind = [label for label in labels[at + 1 :] if label != _ENDPOINT]
    service = behind[-1] if behind else labels[at - 1] if at else None
    return AwsRange(service.upper(), labels[at]) if service else None
