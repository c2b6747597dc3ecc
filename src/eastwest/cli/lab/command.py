"""`eastwest lab`: a cluster in this machine; see `eastwest.lab.runtime`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

from eastwest.lab.runtime import Lab, remove
from eastwest.lab.shipped import scenario_names
from eastwest.lab.state import NETWORKS, LabError, known_labs

DEFAULT: Final = "lab"
"""The lab that is meant when none is named."""
_EPILOG: Final = """\
examples:
  eastwest lab up retail-store                     a shop with steady traffic, on three nodes
  eastwest lab up ./my-manifests --network vxlan   any folder of Kubernetes manifests
  eastwest lab status                              nodes, pods, Services, load generators
  eastwest lab exec ui/ui -- ip address            run a program inside a pod
  eastwest lab probe ui/ui svc:catalog/catalog:80/TCP
  eastwest lab apply -f policy.yaml --wait
  eastwest lab fault catalog/catalog-mysql --loss 5
  eastwest lab conformance tests/golden/policy/cases
  eastwest lab down
"""


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "A Kubernetes cluster in this machine: nodes, pods, Services and DNS as namespaces and processes,"
        " with real packets."
    )
    parser.epilog = _EPILOG
    sub = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def add(name: str, run: Callable[[argparse.Namespace], int], help_: str, *examples: str) -> argparse.ArgumentParser:
        child = sub.add_parser(
            name,
            help=help_,
            description=help_[0].upper() + help_[1:] + ".",
            epilog="examples:\n" + "\n".join(f"  eastwest lab {e}" for e in examples),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        child.add_argument("--name", default=DEFAULT, help=f"which lab, when several run (default: {DEFAULT})")
        child.set_defaults(act=run)
        return child

    up = add("up", _up, "start a lab", "up retail-store", "up retail-store ecommerce --network bridged --nodes 4",
             "up --name two ./manifests")  # fmt: skip
    up.add_argument(
        "scenario", nargs="+", metavar="DIR|SCENARIO", help=f"folder of manifests, or {', '.join(scenario_names())}"
    )
    up.add_argument("--network", choices=NETWORKS, default="routed", help="how pods are wired (default: routed)")
    up.add_argument("--nodes", type=int, default=3, metavar="K", help="number of nodes (default: 3)")
    up.add_argument(
        "--cgroups", choices=("systemd", "cgroupfs"), default="systemd", help="cgroup naming of the kubelet"
    )
    up.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="how long to wait (default: 60)")
    down = add(
        "down", _down, "end a lab and leave nothing behind, also after kill -9", "down", "down --name two", "down --all"
    )
    down.add_argument("--all", action="store_true", help="every lab of this machine")
    status = add("status", _status, "show nodes, pods, Services and load", "status", "status --json")
    status.add_argument("--json", action="store_true")
    exec_ = add("exec", _exec, "run a program of this machine inside a pod", "exec ui/ui -- ip route",
                "exec orders/orders -- curl -s http://catalog.catalog.svc/")  # fmt: skip
    exec_.add_argument("pod", metavar="NS/POD", help="a pod or a workload")
    exec_.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- CMD")
    probe = add("probe", _probe, "ask whether a pod can reach a target (exit 0 yes, 1 no, 2 error)",
                "probe ui/ui catalog/catalog:8080/TCP", "probe ui/ui svc:kube-system/kube-dns:53/UDP --family 6",
                "probe ui/ui node:node-2:22/TCP --json", "probe ui/ui ui/ui/ICMP")  # fmt: skip
    probe.add_argument("pod", metavar="NS/POD", help="where from: a pod or a workload")
    probe.add_argument("target", metavar="TARGET:PORT/PROTO",
                       help="ns/pod, svc:ns/name, node:name or an address; TCP, UDP or SCTP, or TARGET/ICMP")  # fmt: skip
    probe.add_argument("--family", type=int, choices=(4, 6), default=4)
    probe.add_argument("--timeout", type=float, default=1.0, metavar="SECONDS")
    probe.add_argument("--json", action="store_true")
    apply = add(
        "apply", _apply, "create or replace objects from manifests", "apply -f policies/", "apply -f web.yaml --wait"
    )
    apply.add_argument("-f", dest="paths", action="append", required=True, metavar="PATH")
    apply.add_argument("--wait", action="store_true", help="until the workloads in it are ready")
    apply.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS")
    fault = add("fault", _fault, "lose packets or limit the rate on a link; without arguments list faults",
                "fault catalog/catalog-mysql --loss 5", "fault node:node-2 --rate 10mbit", "fault --clear")  # fmt: skip
    fault.add_argument("target", nargs="?", metavar="NS/POD|node:NAME")
    fault.add_argument("--loss", type=float, metavar="PERCENT", help="packets dropped at random, each direction")
    fault.add_argument("--rate", metavar="RATE", help="such as 10mbit, towards the pod or out of the node")
    fault.add_argument("--mtu", type=int, metavar="BYTES", help="of what is sent to the pod or the node, 1280 or more")
    fault.add_argument("--clear", action="store_true", help="end the fault of the target, or all")
    fault.add_argument("--json", action="store_true")
    conformance = add(
        "conformance", _conformance, "policy cases on real packets: engine, wire and expectation in every cell",
        "conformance tests/golden/policy/cases", "conformance my-case.yaml --json",
        "conformance tests/golden/policy/cases --without-enforcement    # every deny must then be reported",
    )  # fmt: skip
    conformance.add_argument("paths", metavar="PATH", nargs="+", help="case files, or folders searched recursively")
    conformance.add_argument("--json", action="store_true", help="every cell, as JSON")
    conformance.add_argument(
        "--network", choices=NETWORKS, default="routed", help="how pods are wired (default: routed)"
    )
    conformance.add_argument(
        "--without-enforcement", action="store_true", help="policies are not put in force: a control run"
    )
    conformance.set_defaults(name="conformance")


def run(args: argparse.Namespace) -> int:
    try:
        code: int = args.act(args)
    except LabError as error:
        print(f"eastwest lab {args.action}: {error}", file=sys.stderr)
        return 2
    return code


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _up(args: argparse.Namespace) -> int:
    lab = Lab.up(args.scenario, args.name, args.network, args.nodes, cgroup_driver=args.cgroups,
                 timeout=args.timeout, tell=_say)  # fmt: skip
    status = lab.status()
    which = "" if args.name == DEFAULT else f" --name {args.name}"
    _say(
        f"lab {args.name!r} is up: {len(lab.nodes)} nodes, {len(status['pods'])} pods. Look: eastwest lab status{which}"
    )
    return 0


def _down(args: argparse.Namespace) -> int:
    names = list(known_labs()) if args.all else [args.name]
    for name in names:
        _say(f"lab {name!r} is gone" if remove(name) else f"there is no lab {name!r}")
    return 0


def _status(args: argparse.Namespace) -> int:
    status = Lab.load(args.name).status()
    if args.json:
        print(json.dumps(status, indent=2))
    else:
        _print_status(status)
    return 0


def _print_status(status: dict[str, Any]) -> None:
    def table(title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
        widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
        print(title)
        for row in [columns, *rows]:
            print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        print()

    table(f"Nodes ({status['network']})", ("NAME", "ZONE", "IPV4", "IPV6"),
          [(n["name"], n["zone"], *n["ips"]) for n in status["nodes"]])  # fmt: skip
    table("Pods", ("NAMESPACE", "NAME", "READY", "PHASE", "RESTARTS", "NODE", "IPV4", "NOTE"),
          [(p["namespace"], p["name"], "yes" if p["ready"] else "no", p["phase"], str(p["restarts"]), p["node"] or "–",
            p["ips"][0] if p["ips"] else "–", p["note"] or "") for p in status["pods"]])  # fmt: skip
    table("Services", ("NAMESPACE", "NAME", "TYPE", "CLUSTER", "EXTERNAL", "PORTS"),
          [(s["namespace"], s["name"], s["type"], s["cluster_ips"][0] if s["cluster_ips"] else "–",
            s["load_balancer_ips"][0] if s["load_balancer_ips"] else "–", " ".join(s["ports"]))
           for s in status["services"]])  # fmt: skip
    if status["clients"]:
        table("Load from outside", ("TO", "REQUEST", "ATTEMPTED", "SUCCEEDED", "FAILED", "LAST FAILURE"),
              [(c["name"], name, str(r["attempted"]), str(r["succeeded"]), str(r["failed"]), r["last_failure"] or "–")
               for c in status["clients"] for name, r in c.get("requests", {}).items()])  # fmt: skip
    for fault in status["faults"]:
        print(_fault_line(fault))
    if status["problem"]:
        print(f"problem: {status['problem']}")


def _exec(args: argparse.Namespace) -> int:
    namespace, pod = _pod(args.pod)
    argv = args.argv[1:] if args.argv[:1] == ["--"] else args.argv
    if not argv:
        raise LabError("say which program to run: eastwest lab exec NS/POD -- CMD")
    join = Lab.load(args.name).prepare_exec(namespace, pod)
    join()
    sys.stdout.flush()
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - becoming that program is the point
    except OSError as error:
        raise LabError(f"{argv[0]}: {error.strerror}") from error


def _probe(args: argparse.Namespace) -> int:
    _pod(args.pod)
    result = Lab.load(args.name).probe(args.pod, args.target, args.family, args.timeout)
    if args.json:
        print(json.dumps(asdict(result)))
    else:
        outcome = "reachable" if result.reachable else f"not reachable ({result.reason})"
        print(f"{args.pod} → {args.target} [{result.address}]: {outcome}")
    return 0 if result.reachable else 1


def _apply(args: argparse.Namespace) -> int:
    keys = Lab.load(args.name).apply(*args.paths, wait=args.wait, timeout=args.timeout, tell=_say)
    for kind, namespace, name in keys:
        print(f"{kind} {f'{namespace}/' if namespace else ''}{name}")
    return 0


def _fault(args: argparse.Namespace) -> int:
    faults = Lab.load(args.name).fault(args.target, loss=args.loss, rate=args.rate, mtu=args.mtu, clear=args.clear)
    if args.json:
        print(json.dumps(faults))
    elif not faults:
        print("no faults")
    for fault in [] if args.json else faults:
        print(_fault_line(fault))
    return 0


def _conformance(args: argparse.Namespace) -> int:
    # Not above: the engine brings numpy and its threads, and with threads nobody can `exec`.
    from eastwest.cli.lab import conformance

    return conformance.run(args)


def _fault_line(fault: dict[str, Any]) -> str:
    loss = f"loses {fault['loss_percent']:g} % of packets" if fault["loss_percent"] is not None else ""
    rate = f"carries at most {fault['rate']}" if fault["rate"] else ""
    mtu = f"takes packets of at most {fault['mtu']} bytes" if fault["mtu"] else ""
    return f"{fault['target']} {' and '.join(w for w in (loss, rate, mtu) if w)}"


def _pod(text: str) -> tuple[str, str]:
    namespace, slash, name = text.partition("/")
    if not (namespace and slash and name):
        raise LabError(f"{text!r} is not NS/POD")
    return namespace, name
