"""The `eastwest` command: finds the one file of a command and runs it.

A command module has `register(parser)` (arguments, help, examples) and `run(args) -> int` (the exit code). Modules are
imported only when asked for, because a node has the agent's dependencies and nothing else.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Final

from eastwest import __version__
from eastwest.cli._parser import Parser, nearest

COMMANDS: Final[dict[str, str]] = {
    "demo": "a cluster in this machine, observed from kernel to screen",
    "lab": "start, change, probe and stop a cluster in this machine",
    "agent": "record the flows of one node",
    "cni": "CNI plugin: a pod starts when its packets are decided about",
    "server": "receive, name, keep and serve flows; the web console",
    "map": "who talks to whom",
    "flows": "the flow table",
    "top": "who moves the most",
    "costs": "what traffic between zones, regions and the internet costs",
    "coverage": "what was seen and what was not",
    "record": "save a window as an evidence bundle",
    "enforce": "what policies deny on the wire: set, see, and explain it",
    "rollout": "audit and enforce step by step, watched, taken back when something would break",
    "policy": "check, explain, generate and prove network policies",
}

EXTRAS: Final[dict[str, str]] = {"server": "server", "policy": "policy", "demo": "all", "lab": "all"}
"""The extra of the package that a command needs; the others that ask a server need `cli`."""


def _build(command: str | None) -> tuple[Parser, Parser | None]:
    """The whole parser, and the one of `command`."""
    parser = Parser(
        prog="eastwest",
        description="See every connection in a Kubernetes cluster and lock it down to least privilege without breaking it.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="First time here? Try: eastwest demo\nThen, in a second terminal: eastwest map, and eastwest COMMAND --help for examples",
    )
    parser.add_argument("--version", action="version", version=f"eastwest {__version__}")
    sub = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen: Parser | None = None
    for name, summary in COMMANDS.items():
        child = sub.add_parser(
            name, help=summary, formatter_class=argparse.RawDescriptionHelpFormatter, add_help=name == command
        )
        if name == command:
            module = importlib.import_module(f"eastwest.cli.{name}")
            module.register(child)
            child.set_defaults(run=module.run)
            chosen = child
    return parser, chosen


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (2 for unusable arguments)."""
    words = list(sys.argv[1:] if argv is None else argv)
    command = next((w for w in words if not w.startswith("-")), None)
    if command not in COMMANDS and command is not None:
        meant = nearest(command, COMMANDS)
        hint = f"did you mean {meant}?" if meant else "eastwest --help lists them"
        print(f"eastwest: there is no command {command!r}; {hint}", file=sys.stderr)
        return 2
    try:
        parser, chosen = _build(command)
        if not words:
            parser.print_help(sys.stderr)
            return 2
        args, surplus = parser.parse_known_args(words)
        (chosen or parser).check(surplus)
    except ModuleNotFoundError as missing:
        return _not_installed(command, missing)
    try:
        code: int = args.run(args)
    except ModuleNotFoundError as missing:
        return _not_installed(command, missing)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 141
    return code


def _not_installed(command: str | None, missing: ModuleNotFoundError) -> int:
    """A node has the agent's packages only. Raises `missing` again when it is one of our own modules."""
    package = (missing.name or "eastwest").partition(".")[0]
    if package == "eastwest":
        raise missing
    extra = EXTRAS.get(command or "", "cli")
    if extra == "policy" and package == "httpx":
        extra = "policy,cli"  # it asks a server
    print(
        f"eastwest {command}: the Python package {package!r} is not installed; install what this command needs: "
        f"pip install 'eastwest[{extra}]' (eastwest[all]: everything)",
        file=sys.stderr,
    )
    return 2


if __name__ == "__main__":
    sys.exit(main())
