"""The parameters that several routes share, with the words that appear in the OpenAPI description."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from fastapi import Depends, Query, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from eastwest.query.errors import ParameterError
from eastwest.query.verdicts import Asked

Level = Literal["workload", "pod"]
View = Literal["cluster", "aws", "external"]
By = Literal["pod", "workload", "namespace"]
Metric = Literal["bytes", "packets", "connections", "cost"]

WindowText = Annotated[
    str | None,
    Query(description="how far back from now: a number with s, m, h or d; 15m when neither start nor end is given"),
]
StartText = Annotated[str | None, Query(description="begin of the range, RFC 3339, inclusive")]
EndText = Annotated[str | None, Query(description="end of the range, RFC 3339, exclusive; now when omitted")]
NamespaceText = Annotated[
    str | None, Query(description="only edges with an end in this namespace; several separated by commas")
]
VerdictText = Annotated[
    Asked | None,
    Query(description="denied: any packet denied; would-deny: any that enforcing would deny; allowed: all allowed"),
]
FilterText = Annotated[str, Query(description="for example: src_namespace=ui and dst_port=80 and bytes_forward>1MB")]


def _query_names(dependant: Dependant) -> Iterator[str]:
    yield from (field.alias for field in dependant.query_params)
    for inner in dependant.dependencies:
        yield from _query_names(inner)


def known_only(request: Request) -> None:
    """Refuse a query parameter that the route does not have, or has once and was given twice."""
    route = request.scope["route"]
    assert isinstance(route, APIRoute)
    known = set(_query_names(route.dependant))
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name not in known:
            choices = ", ".join(sorted(known)) or "none"
            raise ParameterError(name, f"no such parameter; this route takes: {choices}")
        if name in seen:
            raise ParameterError(name, "given more than once")
        seen.add(name)


KnownOnly = Depends(known_only)
