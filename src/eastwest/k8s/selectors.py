"""Label selectors, validated as the API server validates them. Used by policies and by workloads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, get_args

from eastwest.k8s.fields import Fields
from eastwest.model.policy import LabelSelector, Operator, Requirement

_NAME: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_PREFIX: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
OPERATORS: Final[tuple[Operator, ...]] = get_args(Operator)


def selector(fields: Fields, key: str) -> LabelSelector | None:
    """The LabelSelector at `key`; None when missing or null, the empty selector for `{}`."""
    if key not in fields:
        return None
    inner = fields.inner(key)
    inner.known(("matchLabels", "matchExpressions"))
    labels = inner.mapping("matchLabels")
    check_labels(inner, "matchLabels", labels)
    return LabelSelector(tuple(labels.items()), tuple(_requirement(item) for item in inner.items("matchExpressions")))


def check_labels(fields: Fields, key: str, labels: Mapping[str, str]) -> None:
    """Report keys and values that the API server refuses."""
    for name, value in labels.items():
        if not _valid_key(name):
            fields.inner(key).error(name, f"{name!r} is not a valid label key")
        if not _valid_value(value):
            fields.inner(key).error(name, f"{value!r} is not a valid label value")


def _requirement(item: Fields) -> Requirement:
    item.known(("key", "operator", "values"))
    key = item.text("key")
    if not _valid_key(key):
        item.error("key", f"{key!r} is not a valid label key")
    values = tuple(item.texts("values"))
    operator: Operator = "Exists"
    word = item.text("operator")
    for known in OPERATORS:
        if word == known:
            operator = known
    if word not in OPERATORS:
        item.error("operator", f"{word!r} is not one of {', '.join(OPERATORS)}")
    elif operator in ("In", "NotIn") and not values:
        item.error("values", f"must not be empty with operator {operator}")
    elif operator in ("Exists", "DoesNotExist") and values:
        item.error("values", f"must be empty with operator {operator}")
    for index, value in enumerate(values):
        if not _valid_value(value):
            item.reader.say("error", (*item.path, "values", index), f"{value!r} is not a valid label value")
    return Requirement(key, operator, values)


def _valid_key(key: str) -> bool:
    prefix, slash, name = key.rpartition("/")
    if slash and not (len(prefix) <= 253 and _PREFIX.fullmatch(prefix)):
        return False
    return _NAME.fullmatch(name) is not None


def _valid_value(value: str) -> bool:
    return value == "" or _NAME.fullmatch(value) is not None
