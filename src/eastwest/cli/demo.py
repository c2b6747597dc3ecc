"""`eastwest demo`: a cluster in this machine, observed from kernel to screen."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.markup import escape

from eastwest.runtime.paths import DEFAULT_LISTEN

SCENARIOS = ("retail-store", "ecommerce", "photo-gallery")

EXAMPLES = """examples:
  eastwest demo                                      all scenarios, until Ctrl-C
  eastwest demo --scenario retail-store --for 60     one scenario, one minute
  eastwest demo --story                              from nothing to least privilege in eight steps (4 minutes)
  eastwest demo --recorded                           play the recorded window (no root, no eBPF needed)
"""


def register(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    parser.add_argument(
        "--listen", default=DEFAULT_LISTEN, metavar="HOST:PORT", help=f"console address (default {DEFAULT_LISTEN})"
    )
    parser.add_argument(
        "--scenario",
        action="append",
        metavar="NAME|DIR",
        help=f"what runs in the cluster; may be repeated (default: {', '.join(SCENARIOS)})",
    )
    parser.add_argument("--for", dest="for_s", type=float, metavar="SECONDS", help="stop by itself (default: Ctrl-C)")
    parser.add_argument("--network", choices=("routed", "bridged", "vxlan"), default="routed", help="default: routed")
    parser.add_argument("--name", default="demo", help="the lab's and the cluster's name (default: demo)")
    parser.add_argument(
        "--story", action="store_true", help="tell how a shop gets least privilege; exit 1 if a step fails"
    )
    parser.add_argument("--json", action="store_true", help="with --story: the steps as JSON")
    parser.add_argument("--recorded", action="store_true", help="play the recorded window instead of real packets")


def why_not_real() -> str | None:
    """Why real packets cannot be shown on this machine; None when they can."""
    if os.geteuid() != 0:
        return "not root: network namespaces and eBPF need it"
    if not Path("/sys/kernel/btf/vmlinux").exists():
        return "this kernel has no BTF (/sys/kernel/btf/vmlinux), which eBPF CO-RE programs need"
    missing = [tool for tool in ("ip", "nft") if shutil.which(tool) is None]
    if missing:
        return f"{' and '.join(missing)} not found (Debian: iproute2, nftables)"
    return None


def recording() -> Path:
    """The bundle that ships with the package."""
    return Path(__file__).parent.parent / "lab" / "recordings" / "demo.zip"


def _play(args: argparse.Namespace, console: Console) -> int:
    """Serve the recorded window until told to stop."""
    import subprocess

    argv = [sys.executable, "-m", "eastwest", "server", "--bundle", str(recording()), "--listen", args.listen]
    console.print(f"[bold]http://{args.listen}/map[/]  shows a recorded window, not live traffic (Ctrl-C ends it)")
    server = subprocess.Popen(argv)
    try:
        return server.wait(args.for_s)
    except subprocess.TimeoutExpired:
        return 0
    except KeyboardInterrupt:
        return 0
    finally:
        server.terminate()
        server.wait()


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _run_live(args: argparse.Namespace, console: Console) -> int:
    from eastwest.cli._stack import Plan, Stack, StackError
    from eastwest.lab.state import LabError

    began = time.monotonic()
    plan = Plan(args.scenario or SCENARIOS, name=args.name, network=args.network, listen=args.listen, enforce=True)
    signal.signal(signal.SIGTERM, _interrupt)
    status = console.status("")
    stack = Stack(plan, say=lambda text: status.update(text) if console.is_terminal else console.print(text))
    try:
        with status, stack:
            stack.say("waiting for the first edges")
            edges = stack.wait_for_edges()
            status.stop()
            took = time.monotonic() - began
            console.print(f"[bold]{stack.url}/map[/]  {edges} edges after {took:.0f} s (Ctrl-C ends and cleans up)")
            console.print(f"in a second terminal:\n{_try(args.listen)}")
            until = None if args.for_s is None else time.monotonic() + args.for_s
            while until is None or time.monotonic() < until:
                stack.check()
                time.sleep(0.2)
    except KeyboardInterrupt:
        pass
    except (StackError, LabError) as problem:
        console.print(f"[red]eastwest:[/] {escape(str(problem))}", highlight=False)
        return 2
    console.print("stopped; nothing is left behind")
    return 0


def _try(listen: str) -> str:
    """Commands to go on with, as they must be written here."""
    command = "eastwest" if shutil.which("eastwest") else os.path.relpath(sys.argv[0])
    server = "" if listen == DEFAULT_LISTEN else f" --server http://{listen}"
    return "\n".join(f"  {command} {words}{server}" for words in ("map", "top workload", "costs", "enforce status"))


def _unusable(args: argparse.Namespace) -> str | None:
    """What is wrong with the arguments, found before a cluster is started for them; None when nothing is."""
    from eastwest.cli._serving import ListenError, open_tcp, parse_listen
    from eastwest.lab.shipped import scenario_path
    from eastwest.lab.state import LabError

    try:
        for scenario in args.scenario or ():
            scenario_path(scenario)
        open_tcp(*parse_listen(args.listen)).close()
    except (LabError, ListenError) as problem:
        return str(problem)
    except ValueError as problem:
        return f"--listen {problem}"
    return None


def _tell(args: argparse.Namespace, console: Console) -> int:
    """The story. 0 when every step came out as it must, 1 when one did not, 2 when it could not be told."""
    from eastwest.cli._client import print_json
    from eastwest.cli._stack import StackError
    from eastwest.cli.story.course import plan, summary, tell
    from eastwest.lab.state import LabError

    signal.signal(signal.SIGTERM, _interrupt)
    say = Console(highlight=False, soft_wrap=True, stderr=True) if args.json else console
    try:
        found = summary(tell(plan(args.name, args.network, args.listen), say.print))
    except (StackError, LabError) as problem:
        say.print(f"[red]eastwest:[/] {escape(str(problem))}", highlight=False)
        return 2
    if args.json:
        print_json(found)
    return 0 if found["ok"] else 1


def run(args: argparse.Namespace) -> int:
    console = Console(highlight=False, soft_wrap=True)
    reason = None if args.recorded else why_not_real()
    if args.story and reason is not None:
        console.print(f"The story needs real packets, which are not possible here: {reason}.")
        return 2
    problem = _unusable(args)
    if problem is not None:
        print(f"eastwest demo: {problem}", file=sys.stderr)
        return 2
    if args.story:
        return _tell(args, console)
    if reason is not None:
        console.print(f"Real packets are not possible here: {reason}. Playing the recorded window instead.")
    if args.recorded or reason is not None:
        return _play(args, console)
    return _run_live(args, console)
