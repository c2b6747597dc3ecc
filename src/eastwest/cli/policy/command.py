"""`eastwest policy`: one subcommand per file `<name>.py`, each with `register(parser)` and `run(args)`.

Exit codes are the same for all: 0 clean, 1 findings, 2 unusable input (what can be analysed still is).
"""

from __future__ import annotations

import argparse
import importlib
from typing import Final

from eastwest.cli._parser import Parser

SUBCOMMANDS: Final[dict[str, str]] = {
    "check": "may one end connect to another, and why",
    "connections": "every permitted connection between workloads and the outside",
    "explain": "the rules in force for a pod, or what decides each port of a pair",
    "lint": "rules that are invalid, match nothing or miss something, each with a fix",
    "diff": "which connections a change of policies adds and removes",
    "conformance": "run semantic test cases",
    "generate": "least-privilege policies from observed traffic",
    "replay": "recorded flows against policies: what would be denied, what is never used",
    "verify": "declared intent against what is permitted and what was observed",
}
EXAMPLES: Final = """examples:
  eastwest policy check shop/ui-0 shop/orders:8080/TCP manifests/
  eastwest policy connections manifests/ --json
  eastwest policy diff main/ branch/
  eastwest policy lint manifests/

exit codes: 0 clean, 1 findings (denied, differs, refused for gaps, lint), 2 bad input or usage
"""


class _LazyParser(Parser):
    """Imports and registers its subcommand when that is the one to parse: each needs different packages."""

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]  # as argparse
        name = self.prog.split()[-1]
        if self.get_default("run_subcommand") is None:
            module = importlib.import_module(_module(name))
            module.register(self)
            self.set_defaults(run_subcommand=module.run)
        return super().parse_known_args(args, namespace)


def _module(name: str) -> str:
    return f"eastwest.cli.policy.{name}"


def register(parser: argparse.ArgumentParser) -> None:
    """Every subcommand, by name only: its own file adds the rest when it is asked for."""
    parser.epilog = EXAMPLES
    sub = parser.add_subparsers(dest="subcommand", metavar="SUBCOMMAND", required=True, parser_class=_LazyParser)
    for name, summary in SUBCOMMANDS.items():
        sub.add_parser(name, help=summary, description=summary, formatter_class=argparse.RawDescriptionHelpFormatter)


def run(args: argparse.Namespace) -> int:
    code: int = args.run_subcommand(args)
    return code
