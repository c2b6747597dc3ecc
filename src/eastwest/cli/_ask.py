"""The common course of a command that asks the server: fetch, then JSON, one table, or a table that refreshes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any, Final

from eastwest.cli._client import (
    ServerError,
    add_server_arguments,
    add_window_arguments,
    get,
    pointer,
    print_json,
    window_parameters,
)
from eastwest.cli._table import View, show, watch

SHOWN: Final = 5
"""Sentences about what is missing; the rest are counted."""


def add_ask_arguments(parser: argparse.ArgumentParser) -> None:
    """Time range, server, --json and --watch."""
    add_window_arguments(parser)
    add_server_arguments(parser)
    parser.add_argument("--watch", action="store_true", help="refresh every 2 seconds until Ctrl-C")


def ask(args: argparse.Namespace, path: str, params: dict[str, str], view: Callable[[Any], View]) -> int:
    """0 when answered, 2 when not (the reason is on standard error)."""
    query = {**window_parameters(args), **params}
    try:
        if args.json:
            print_json(get(args, path, query))
        elif args.watch:
            watch(lambda: view(get(args, path, query)))
        else:
            show(view(get(args, path, query)))
    except ServerError as problem:
        print(pointer(problem, params.get("filter")), file=sys.stderr)
        return 2
    return 0


def coverage_notes(sentences: list[str]) -> list[str]:
    """What is missing, in the server's words, next to the data it affects."""
    more = [f"incomplete: {len(sentences) - SHOWN} more, see eastwest coverage"] if len(sentences) > SHOWN else []
    return [f"incomplete: {sentence}" for sentence in sentences[:SHOWN]] + more


def recorded_note(window: dict[str, Any]) -> list[str]:
    return ["recorded: this is an evidence bundle, not live traffic"] if window.get("recorded") else []
