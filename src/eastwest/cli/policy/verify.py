"""`eastwest policy verify`: declared intent against what is permitted and what was observed."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from eastwest.cli.policy._evidence import Recorded, add_evidence_arguments, recorded
from eastwest.cli.policy._formats import junit, message, sarif
from eastwest.cli.policy._input import InputError, add_json, add_options, engine_of, exit_code, fail, read
from eastwest.k8s.yamltext import BadYaml, documents
from eastwest.model.cluster import ClusterState
from eastwest.policy.verify.intent import Intent, IntentError, parse_intent
from eastwest.policy.verify.verify import Verification, verify

EXAMPLES: Final = """examples:
  eastwest policy verify --intent intent.yaml manifests/
  eastwest policy verify --intent intent.yaml --evidence recording.zip policies/
  eastwest policy verify --intent intent.yaml manifests/ --junit intent.xml --sarif intent.sarif

intent.yaml:
  namespace: shop                              # for ends without one
  intents:
  - ui may reach orders on 8080
  - only orders may reach orders-postgresql on 5432
  - payments/* must not reach the internet
  - {say: "*/* must not reach 169.254.169.254 on 80", name: no instance metadata}

exit codes: 0 every intent holds, 1 some do not, 2 bad input
"""


def register(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    parser.add_argument("dir", metavar="DIR", help="manifests with the policies, searched recursively")
    parser.add_argument("--intent", metavar="FILE", type=Path, required=True, help="the declared intent (YAML)")
    parser.add_argument("--junit", metavar="FILE", type=Path, help="also write JUnit XML")
    parser.add_argument("--sarif", metavar="FILE", type=Path, help="also write SARIF 2.1.0")
    add_evidence_arguments(parser)
    parser.set_defaults(server=None)
    add_json(parser)
    add_options(parser)


def run(args: argparse.Namespace) -> int:
    try:
        intents = read_intents(args.intent)
        state, problems = read(args.dir)
        evidence = recorded(args) if args.evidence is not None or args.server is not None else None
        result = verify(engine_of(args, _cluster(state, evidence)), intents, evidence.evidence if evidence else None)
        if args.junit:
            args.junit.write_text(junit(result, str(args.intent)))
        if args.sarif:
            args.sarif.write_text(json.dumps(sarif(result, str(args.intent)), indent=2) + "\n")
    except (InputError, OSError) as error:
        return fail(error)
    print(json.dumps(to_json(result), indent=2) if args.json else text(result))
    return exit_code(not result.ok, problems)


def _cluster(state: ClusterState, evidence: Recorded | None) -> ClusterState:
    """The pods that were recorded under the policies of DIR; without a recording, DIR alone."""
    if evidence is None or not evidence.cluster.pods:
        return state
    return replace(
        evidence.cluster,
        network_policies=state.network_policies,
        cluster_network_policies=state.cluster_network_policies,
    )


def read_intents(path: Path) -> list[Intent]:
    """The sentences of a file. Raises InputError naming file and line."""
    try:
        found = list(documents(path.read_text()))
        body: Any = found[0].value()[0] if found else None
    except BadYaml as error:
        raise InputError(f"{path}:{error.line}: {error.message}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from None
    if not isinstance(body, dict) or not isinstance(body.get("intents"), list):
        raise InputError(f"{path}: intents: must be a list of sentences")
    namespace = body.get("namespace")
    if namespace is not None and not isinstance(namespace, str):
        raise InputError(f"{path}: namespace: must be text")
    lines = found[0].item_lines(("intents",), len(body["intents"])) or [0] * len(body["intents"])
    out = []
    for index, (entry, line) in enumerate(zip(body["intents"], lines, strict=True)):
        say, name = (entry.get("say"), entry.get("name")) if isinstance(entry, dict) else (entry, None)
        if not isinstance(say, str) or not (name is None or isinstance(name, str)):
            raise InputError(f"{path}:{line}: intents[{index}]: must be a sentence, or say: and name:")
        try:
            out.append(parse_intent(say, namespace, name, line))
        except IntentError as error:
            raise InputError(f"{path}:{line}: intents[{index}]: {error}") from None
    return out


def to_json(result: Verification) -> dict[str, Any]:
    return {
        "ok": result.ok,
        "intents": [
            {
                "name": c.intent.name,
                "declared": c.intent.text,
                "permitted": c.permitted,
                "observed": c.observed,
                "ok": c.ok,
                "problems": [*c.unknown, *c.problems],
                "line": c.intent.line,
            }
            for c in result.checked
        ],
        "edges": [
            {"src": e.src, "dst": e.dst, "declared": e.declared, "permitted": e.permitted, "observed": e.observed,
             "state": e.state}
            for e in result.edges
        ],
    }  # fmt: skip


def text(result: Verification) -> str:
    lines = []
    for c in result.checked:
        lines.append(f"{'ok    ' if c.ok else 'BROKEN'} {c.intent.name}")
        lines.append(f"       permitted: {c.permitted}; observed: {c.observed} connections")
        lines += [f"       {part}" for part in message(c).split("; ") if not c.ok]
    odd = [e for e in result.edges if e.state != "agrees"]
    if odd:
        lines += ["", "declared / permitted / observed, where they differ:"]
        lines += [f"  {e.src} -> {e.dst}: {e.declared} / {e.permitted} / {e.observed}: {e.state}" for e in odd]
    return "\n".join(lines)
