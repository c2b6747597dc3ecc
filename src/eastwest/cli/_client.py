"""Talking to a server from the terminal: one place for the address, the token and errors a person can act on."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import httpx

from eastwest.runtime.paths import DEFAULT_SERVER, server_url


class ServerError(Exception):
    """The server could not answer; the message says what to do. `at` is the place in the filter, [start, end)."""

    def __init__(self, message: str, at: tuple[int, int] | None = None) -> None:
        super().__init__(message)
        self.at = at


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    """--server, --token-file and --json, the same for every command that asks a server."""
    group = parser.add_argument_group("server")
    group.add_argument(
        "--server",
        metavar="URL",
        default=server_url(),
        help=f"server to ask: http(s)://HOST:PORT or unix:PATH (default: $EASTWEST_SERVER or {DEFAULT_SERVER})",
    )
    group.add_argument("--token-file", metavar="FILE", help="file with the API token (default: $EASTWEST_TOKEN if set)")
    group.add_argument("--json", action="store_true", help="print the API's response as JSON")


def add_window_arguments(parser: argparse.ArgumentParser) -> None:
    """--window, or --start and --end."""
    group = parser.add_argument_group("time range")
    group.add_argument(
        "--window", metavar="DURATION", help="how far back: 5m, 1h … (default: 15m, or all of a recording)"
    )
    group.add_argument("--start", metavar="TIME", help="RFC 3339, for example 2026-11-22T10:00:00Z")
    group.add_argument("--end", metavar="TIME", help="RFC 3339 (default: now)")


def window_parameters(args: argparse.Namespace) -> dict[str, str]:
    """The query parameters for the time range that was asked for."""
    chosen = {"window": args.window, "start": args.start, "end": args.end}
    return {k: v for k, v in chosen.items() if v is not None}


def _token(args: argparse.Namespace) -> str | None:
    if args.token_file:
        return Path(args.token_file).read_text().strip()
    return os.environ.get("EASTWEST_TOKEN")


def open_client(args: argparse.Namespace, timeout_s: float = 30.0) -> httpx.Client:
    """A client for `args.server`. Raises ServerError when the token file cannot be read."""
    try:
        token = _token(args)
    except OSError as error:
        raise ServerError(f"cannot read the token file {args.token_file}: {error.strerror}") from error
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if args.server.startswith("unix:"):
        transport = httpx.HTTPTransport(uds=args.server.removeprefix("unix:"))
        return httpx.Client(transport=transport, base_url="http://eastwest", headers=headers, timeout=timeout_s)
    if "://" not in args.server:
        raise ServerError(f"--server {args.server}: write the scheme, too: http://{args.server}")
    return httpx.Client(base_url=args.server, headers=headers, timeout=timeout_s, trust_env=False)


def explain(args: argparse.Namespace, response: httpx.Response) -> ServerError:
    """An error response in words."""
    if response.status_code == 401:
        given = f"--token-file {args.token_file}" if args.token_file else "EASTWEST_TOKEN"
        if "authorization" in response.request.headers:
            return ServerError(
                f"{args.server} does not take the token of {given}; the right one is api-token in its --data"
            )
        return ServerError(f"{args.server} wants a token: pass --token-file FILE or set EASTWEST_TOKEN")
    try:
        problem = response.json()
    except json.JSONDecodeError:
        return ServerError(f"{args.server} answered {response.status_code}: {response.text[:200]}")
    detail = problem.get("detail") or problem.get("title") or response.reason_phrase
    where = f" (parameter {problem['parameter']})" if problem.get("parameter") else ""
    position = problem.get("position")
    at = None if position is None else (position, problem.get("end") or position + 1)
    return ServerError(f"{detail}{where}", at)


def unanswered(args: argparse.Namespace, error: httpx.TransportError | httpx.InvalidURL) -> ServerError:
    """No answer at all, in words."""
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return ServerError(
            f"--server {args.server}: {str(error).rstrip('.')}; expected http(s)://HOST:PORT or unix:PATH"
        )
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return ServerError(f"{args.server} took the question and did not answer in time; ask for a shorter --window")
    why = str(error).partition("] ")[2] or str(error) or type(error).__name__
    return ServerError(
        f"no server at {args.server} ({why}); start one with `eastwest server` or `eastwest demo`, or point --server at it"
    )


def get(args: argparse.Namespace, path: str, params: dict[str, str] | None = None) -> Any:
    """GET a JSON answer. Raises ServerError with a sentence that says what to do."""
    return _ask(args, "GET", path, params=params or {})


def post(args: argparse.Namespace, path: str, body: Any = None) -> Any:
    """POST a JSON document. Raises ServerError with a sentence that says what to do."""
    return _ask(args, "POST", path, json=body)


def put(args: argparse.Namespace, path: str, body: Any) -> Any:
    """PUT a JSON document. Raises ServerError with a sentence that says what to do."""
    return _ask(args, "PUT", path, json=body)


def _ask(args: argparse.Namespace, method: str, path: str, **given: Any) -> Any:
    try:
        with open_client(args) as client:
            response = client.request(method, path, **given)
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise unanswered(args, error) from error
    if response.status_code != 200:
        raise explain(args, response)
    try:
        return response.json()
    except ValueError:
        raise ServerError(f"{args.server} is no eastwest server: its answer is not JSON") from None


def pointer(problem: ServerError, filter_text: str | None) -> str:
    """The message for the terminal, with the place in the filter marked."""
    lines = [f"eastwest: {problem}"]
    if filter_text is not None and problem.at is not None:
        start, end = problem.at
        lines += [f"  {filter_text}", "  " + " " * start + "^" * max(1, end - start)]
    return "\n".join(lines)


def print_json(value: Any) -> None:
    """The API's response, pretty for a person, compact for a pipe."""
    json.dump(value, sys.stdout, indent=2 if sys.stdout.isatty() else None)
    sys.stdout.write("\n")
