"""`eastwest agent`: record the flows of one node until told to stop."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from eastwest.agent.agent import Agent
from eastwest.agent.bpffs import DEFAULT_FOLDER, PinError, is_bpffs
from eastwest.agent.config import Config
from eastwest.agent.hooks_choice import Choice, cgroup_root
from eastwest.agent.loader import LoadError
from eastwest.agent.memory import keep_small
from eastwest.agent.needs import NEEDS
from eastwest.agent.policy.choice import EnforceConfig, LogChoice
from eastwest.agent.probe import probe
from eastwest.agent.release import release, release_filters
from eastwest.agent.sizes import Sizes
from eastwest.cli.agent._options import ENFORCING_TICK_S, TICK_S, UNSAID, add_options
from eastwest.runtime.paths import DEFAULT_SERVER

EXAMPLES = f"""\
examples:
  eastwest agent --node node-a --cluster prod --token-file /run/eastwest/token
      record this node's pods and send to {DEFAULT_SERVER}
  eastwest agent --node node-a --cluster prod --server https://eastwest.example.com --token-file t \\
      --listen 127.0.0.1:7421
      with metrics for Prometheus at http://127.0.0.1:7421/metrics
  eastwest agent --node n1 --cluster lab --server unix:/run/eastwest/agents.sock --token-file t --tick 1
  eastwest agent --node n1 --cluster lab --token-file t --without drops
      with TCP health and DNS, but without the kernel's drops
  eastwest agent --node n1 --cluster lab --token-file t --enforce --state /var/lib/eastwest --policy-log -
      enforce what the server plans for this node, and log what was denied
  eastwest agent --node n1 --cluster prod --token-file t --pin /sys/fs/bpf/eastwest --spool /var/lib/eastwest/spool
      a restart, a crash or an upgrade of the agent misses no packet, an outage of the server loses no window
  eastwest agent --release
      remove what an agent left in the kernel
  eastwest agent --probe [--host] [--enforce]
      which hooks this kernel accepts, what each needs, and what stays unknown without it

It records the network namespace it is started in, and needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON, CAP_SYS_PTRACE and a view
of the node's processes (/proc); CAP_SYS_ADMIN for connections older than itself, CAP_DAC_READ_SEARCH for host-network pods.
SIGTERM or Ctrl-C: it sends what it has, unhooks (unless --pin was given) and ends.
"""


def register(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    add_options(parser)


def _default_pin() -> Path | None:
    return DEFAULT_FOLDER if is_bpffs(DEFAULT_FOLDER.parent) else None


def _release(args: argparse.Namespace) -> int:
    folder = DEFAULT_FOLDER if args.pin in (UNSAID, None) else args.pin
    try:
        names = release(folder) + release_filters()
    except (PinError, OSError) as error:
        print(f"eastwest agent --release: {error}", file=sys.stderr)
        return 1
    for name in names:
        print(f"removed {name}")
    if not names:
        print(f"nothing was left in {folder} or on this machine's interfaces")
    return 0


def run(args: argparse.Namespace) -> int:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    if args.probe:
        choice = Choice(_cgroup(args), drops="drops" not in args.without, dns="dns" not in args.without, host=args.host)
        return _probe(choice, enforce=args.enforce, as_json=args.json)
    if args.release:
        return _release(args)
    missing = [f"--{n.replace('_', '-')}" for n in ("node", "cluster", "token_file") if getattr(args, n) is None]
    if missing:
        print(f"eastwest agent: {', '.join(missing)} missing (see eastwest agent --help)", file=sys.stderr)
        return 2
    if not args.token_file.is_file():
        ask = f"at the server, `eastwest server token --cluster {args.cluster} --node {args.node}` prints one"
        print(f"eastwest agent: --token-file {args.token_file}: no such file; {ask}", file=sys.stderr)
        return 2
    if args.tick is None:
        args.tick = ENFORCING_TICK_S if args.enforce else TICK_S
    if args.tick <= 0 or min(args.flow_map_size, args.buffer_bytes, args.spool_bytes, args.edge_budget) < 1:
        print(
            "eastwest agent: --tick, --flow-map-size, --buffer-bytes, --spool-bytes and --edge-budget must be positive",
            file=sys.stderr,
        )
        return 2
    if complaint := _enforcing(args):
        print(f"eastwest agent: {complaint}", file=sys.stderr)
        return 2
    try:
        keep_small()
        agent = Agent(_config(args))
        signal.signal(signal.SIGTERM, lambda *_: agent.stop())
        signal.signal(signal.SIGINT, lambda *_: agent.stop())
        agent.start()
    except (LoadError, PinError, OSError, ValueError) as error:
        print(f"eastwest agent: {error}", file=sys.stderr)
        return 1
    agent.run()
    return 0


def _config(args: argparse.Namespace) -> Config:
    return Config(
        node=args.node,
        cluster=args.cluster,
        server=args.server,
        token_file=args.token_file,
        tick_s=args.tick,
        listen=args.listen,
        sizes=Sizes(flows=args.flow_map_size),
        edge_budget=args.edge_budget,
        buffer_bytes=args.buffer_bytes,
        cgroup=_cgroup(args),
        drops="drops" not in args.without,
        dns="dns" not in args.without,
        dns_ports=args.dns_ports,
        attach=args.attach,
        host=args.host,
        pin=args.pin if args.pin is not UNSAID else _default_pin(),
        keep_pins=args.pin is not UNSAID,
        spool=args.spool,
        spool_bytes=args.spool_bytes,
        reference_metrics=args.reference_metrics,
        enforce=_enforce(args) if args.enforce else None,
    )


def _enforcing(args: argparse.Namespace) -> str:
    """What is wrong with the options of enforcement, in words; empty when nothing is."""
    if args.enforce and args.state is None:
        return "--enforce needs --state DIR: without the last plan on disk, a restart would open the node"
    if not args.enforce:
        given = [n for n in ("state", "cni_socket", "policy_log") if getattr(args, n) is not None]
        if given:
            return f"--{given[0].replace('_', '-')} needs --enforce"
    if args.policy_log_rate < 1:
        return "--policy-log-rate must be positive"
    return ""


def _enforce(args: argparse.Namespace) -> EnforceConfig:
    return EnforceConfig(
        state=args.state,
        cni_socket=args.cni_socket,
        log=LogChoice(
            file=args.policy_log,
            allowed=args.policy_log_verdicts == "all",
            namespaces=frozenset(args.policy_log_namespace),
            rate=args.policy_log_rate,
        ),
    )


def _cgroup(args: argparse.Namespace) -> Path | None:
    return None if "sock" in args.without else args.cgroup or cgroup_root()


def _probe(choice: Choice, *, enforce: bool, as_json: bool) -> int:
    hooks = probe(choice, enforce=enforce)
    if as_json:
        print(json.dumps([asdict(h) | _need(h.name) for h in hooks], indent=2))
    else:
        for hook in hooks:
            print(f"{hook.name:<18} {hook.state:<8} {hook.reason or ''}")
            if hook.columns and hook.state != "on":
                print(f"{'':<18} unknown without it: {', '.join(hook.columns)}")
            if need := NEEDS.get(hook.name):
                print(f"{'':<18} needs {need.kernel}; without: {need.without}")
    return 0 if all(h.state != "refused" for h in hooks) else 1


def _need(hook: str) -> dict[str, str | None]:
    need = NEEDS.get(hook)
    return {"needs": need.kernel if need else None, "without": need.without if need else None}
