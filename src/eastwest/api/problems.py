"""Errors as RFC 9457 problem documents that name the parameter to change. Every 4xx and 5xx of the API comes from here."""

from __future__ import annotations

import errno
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from eastwest.api.models.problem import Problem
from eastwest.query.errors import ParameterError
from eastwest.store.errors import StoreError

MEDIA_TYPE: Final = "application/problem+json"
TITLES: Final = {
    400: "bad parameter",
    401: "token required",
    403: "not allowed",
    404: "no such page",
    405: "method not allowed",
    409: "not as things stand",
    422: "not understood",
    500: "internal error",
    503: "not ready",
    507: "no room to keep it",
}
RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    400: {"model": Problem, "description": "A parameter is not usable; `parameter` names it."},
    503: {"model": Problem, "description": "The store is not ready; try again."},
}
"""What every data route may answer besides 200."""
CONFLICT: Final[dict[int | str, dict[str, Any]]] = {
    409: {"model": Problem, "description": "Not as things stand; `detail` says what to do first."}
}


def respond(problem: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    """One problem as a response with its own status."""
    body = problem.model_dump(exclude_none=True)
    return JSONResponse(body, problem.status, media_type=MEDIA_TYPE, headers=headers)


def problem(status: int, detail: str, parameter: str | None = None) -> Problem:
    """A problem with the usual title of its status."""
    return Problem(title=TITLES.get(status, "error"), detail=detail, status=status, parameter=parameter)


async def _bad_parameter(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ParameterError)
    answer = problem(400, error.detail, error.parameter)
    return respond(answer.model_copy(update={"position": error.position, "end": error.end}))


async def _validation(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = [str(part) for part in first["loc"] if part not in ("query", "body", "path", "header")]
    name = ".".join(place) or None
    detail = f"{name}: {first['msg'].lower()}" if name else first["msg"]
    if first.get("type") == "missing":
        detail = f"{name} is required"
    return respond(problem(400, detail, name))


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return respond(problem(error.status_code, str(error.detail)), dict(error.headers or {}))


async def _store(_: Request, error: Exception) -> JSONResponse:
    return respond(problem(503, str(error)), {"Retry-After": "1"})


_DISK: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


async def _disk(_: Request, error: Exception) -> JSONResponse:
    """A change that cannot be written down is not made."""
    assert isinstance(error, OSError)
    if error.errno not in _DISK:
        raise error
    where = f" to {error.filename}" if error.filename else ""
    detail = (
        f"nothing was changed: the server cannot write{where}: {error.strerror}; make room for its --data and try again"
    )
    return respond(problem(507, detail))


async def _unexpected(_: Request, error: Exception) -> JSONResponse:
    return respond(problem(500, f"the server failed at this ({type(error).__name__}); its log says why"))


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a Problem."""
    app.add_exception_handler(ParameterError, _bad_parameter)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(StoreError, _store)
    app.add_exception_handler(OSError, _disk)
    app.add_exception_handler(Exception, _unexpected)
