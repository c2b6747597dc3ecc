"""Parameters as the typed values that `query` takes, and large answers as JSON."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Response
from pydantic import BaseModel

from eastwest.api.models.prices import PricesUsed
from eastwest.api.models.window import Window
from eastwest.api.parameters import EndText, FilterText, NamespaceText, StartText, WindowText
from eastwest.api.services import Given, Services
from eastwest.query.costs import prices_used
from eastwest.query.filter import parse
from eastwest.query.timerange import resolve
from eastwest.query.verdicts import Asked, having
from eastwest.query.views import namespaces
from eastwest.store.predicates import EVERYTHING, Predicate, both
from eastwest.store.questions import Range


def range_of(services: Services, window: str | None, start: str | None, end: str | None) -> Range:
    """The time range that the parameters mean."""
    return resolve(window, start, end, services.now_ns(), services.recording)


def condition_of(filter_text: str, namespace: str | None, verdict: Asked | None = None) -> Predicate:
    """Filter, namespace and verdict together."""
    return both(namespaces(namespace), having(verdict) if verdict else EVERYTHING, parse(filter_text))


def _given_range(services: Given, window: WindowText = None, start: StartText = None, end: EndText = None) -> Range:
    return range_of(services, window, start, end)


def _given_condition(namespace: NamespaceText = None, filter: FilterText = "") -> Predicate:
    return condition_of(filter, namespace)


GivenRange = Annotated[Range, Depends(_given_range)]
"""The parameters window, start and end as one value."""
GivenCondition = Annotated[Predicate, Depends(_given_condition)]
"""The parameters namespace and filter as one value."""


def window_of(services: Services, range_: Range) -> Window:
    """The range as the answer names it."""
    return Window(start_ns=range_.start_ns, end_ns=range_.end_ns, recorded=services.recording is not None)


def prices_of(services: Services) -> PricesUsed | None:
    """The table behind the answer's amounts."""
    used = prices_used(services.prices)
    return PricesUsed(**used) if used else None


def json_response(answer: BaseModel) -> Response:
    """A large answer as JSON, encoded once: the framework would check and copy every row again."""
    return Response(answer.model_dump_json(), media_type="application/json")
