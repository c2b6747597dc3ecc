"""`eastwest cni`: a chained CNI plugin that lets a pod begin only when its packets are decided about.

CNI 1.0 (containernetworking/cni SPEC.md): configuration on stdin, the rest in the environment, the result on stdout. It
asks the agent over a Unix socket and hands on the result of the plugin before it. Standard library only, because it runs
once for every pod.
"""

from __future__ import annotations

import array
import json
import os
import socket
import sys
import time

TYPE_CHECKING = False  # typing's own would be an import, and a pod waits for each
if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping
    from pathlib import Path
    from typing import IO, Any, Final

VERSIONS: Final = ("0.3.0", "0.3.1", "0.4.0", "1.0.0")
DEFAULT_SOCKET: Final = "/run/eastwest/cni.sock"
DEFAULT_WAIT_S: Final = 20.0
PLUGIN: Final = "eastwest-cni"
_RETRY_S: Final = 0.05
_CHECK_S: Final = 5.0
"""How long CHECK, which waits for nothing, lets the agent answer."""
_GRACE_S: Final = 1.0
"""An agent that has not answered so long after it was to give up does not answer."""

INCOMPATIBLE, BAD_ENVIRONMENT, IO_FAILED, NOT_JSON, BAD_CONFIG, TRY_AGAIN = 1, 4, 5, 6, 7, 11
"""Error codes of the specification."""

EXAMPLES: Final = f"""\
It is not run by hand: the container runtime does, as the last plugin of a list in /etc/cni/net.d/*.conflist:
  {{"type": "{PLUGIN}", "socket": "{DEFAULT_SOCKET}", "timeoutSeconds": 20, "onTimeout": "fail", "waitFor": "plan"}}

onTimeout  fail: the pod does not start until it is decided about (the runtime tries again); proceed: it starts.
           Without onTimeout the configuration is refused: nobody else can know which you want.
waitFor    plan: until the pod's own rules are in force; posture: until at least the node's posture is.

examples:
  eastwest cni --install /opt/cni/bin     write {PLUGIN} there, which calls this Python
  eastwest agent --enforce --state /var/lib/eastwest --cni-socket {DEFAULT_SOCKET} …
"""


class CniError(Exception):
    """What the runtime is told instead of a result."""

    def __init__(self, code: int, msg: str, details: str = "") -> None:
        super().__init__(msg)
        self.code, self.msg, self.details = code, msg, details


def register(parser: argparse.ArgumentParser) -> None:
    from pathlib import Path

    parser.epilog = EXAMPLES
    parser.add_argument("--install", metavar="DIR", type=Path, help=f"write the plugin {PLUGIN} into DIR, and end")


def run(args: argparse.Namespace) -> int:
    return _install(args.install) if args.install is not None else main(os.environ, sys.stdin, sys.stdout)


def main(environment: Mapping[str, str], given: IO[str], out: IO[str]) -> int:
    """One call of the plugin: reads the configuration, prints a result or an error, returns the exit code."""
    version = VERSIONS[-1]
    try:
        config = _config(given.read())
        version = config.get("cniVersion", version)
        command = environment.get("CNI_COMMAND", "")
        if command == "VERSION":
            _print(out, {"cniVersion": VERSIONS[-1], "supportedVersions": list(VERSIONS)})
            return 0
        if version not in VERSIONS:
            raise CniError(INCOMPATIBLE, f"cniVersion {version!r} is not supported", f"there are {', '.join(VERSIONS)}")
        if command not in _COMMANDS:
            raise CniError(
                BAD_ENVIRONMENT, f"CNI_COMMAND is {command!r}", f"expected {', '.join(_COMMANDS)} or VERSION"
            )
        result = _COMMANDS[command](config, environment)
    except CniError as error:
        _print(out, {"cniVersion": str(version), "code": error.code, "msg": error.msg, "details": error.details})
        return 1
    if result is not None:
        _print(out, result)
    return 0


def _add(config: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    previous = _previous(config)
    _wait(config, environment, previous)
    return {**previous, "cniVersion": config["cniVersion"]}


def _check(config: Mapping[str, Any], environment: Mapping[str, str]) -> None:
    """As ADD, but now or never."""
    refusal = _ask(config, environment, _previous(config), wait_s=0.0, patience_s=_CHECK_S)
    if refusal is not None:
        raise CniError(TRY_AGAIN, "the pod is not decided about", refusal[0])


def _delete(config: Mapping[str, Any], environment: Mapping[str, str]) -> None:
    """Nothing to undo: the agent sees that the link is gone. Succeeds however often, and without an agent."""
    del config, environment


_COMMANDS: Final = {"ADD": _add, "CHECK": _check, "DEL": _delete}


def _wait(config: Mapping[str, Any], environment: Mapping[str, str], previous: Mapping[str, Any]) -> None:
    policy = config.get("onTimeout")
    if policy not in ("fail", "proceed"):
        raise CniError(BAD_CONFIG, f"onTimeout is {policy!r}", 'expected "fail" or "proceed": say which you want')
    seconds = config.get("timeoutSeconds", DEFAULT_WAIT_S)
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 < seconds <= 300:
        raise CniError(BAD_CONFIG, f"timeoutSeconds is {seconds!r}", "expected a number above 0, up to 300")
    deadline_s = time.monotonic() + seconds
    while True:
        left_s = deadline_s - time.monotonic()
        wait_s = max(0.0, left_s)
        refusal = _ask(config, environment, previous, wait_s, wait_s + _GRACE_S)
        if refusal is None:
            return
        why, retry = refusal
        if not retry or time.monotonic() + _RETRY_S >= deadline_s:
            break
        time.sleep(_RETRY_S)
    if policy == "fail":
        raise CniError(TRY_AGAIN, "the pod is not decided about yet", why)
    print(f"{PLUGIN}: the pod starts although it is not decided about: {why}", file=sys.stderr)


def _ask(
    config: Mapping[str, Any],
    environment: Mapping[str, str],
    previous: Mapping[str, Any],
    wait_s: float,
    patience_s: float,
) -> tuple[str, bool] | None:
    """None when the agent says that what holds is in force; else why not, and whether asking again may help."""
    question = _question(config, environment, previous)
    netns = environment.get("CNI_NETNS", "")
    try:
        namespace = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise CniError(BAD_ENVIRONMENT, f"CNI_NETNS {netns!r} cannot be opened", str(error)) from None
    path = config.get("socket", DEFAULT_SOCKET)
    if not isinstance(path, str):
        raise CniError(BAD_CONFIG, f"socket is {path!r}", "expected a path")
    try:
        answer = _exchange(path, {**question, "wait_s": wait_s}, namespace, patience_s)
    except (OSError, ValueError) as error:
        return f"the agent cannot be asked at {path}: {error}", True
    finally:
        os.close(namespace)
    if answer.get("ok") is True:
        return None
    return str(answer.get("reason")), False


def _exchange(path: str, question: Mapping[str, Any], namespace: int, patience_s: float) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as s:
        s.settimeout(patience_s)
        s.connect(path)
        line = json.dumps(question).encode() + b"\n"
        s.sendmsg([line], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [namespace]))])
        answer = b""
        while not answer.endswith(b"\n"):
            more = s.recv(65536)
            if not more:
                raise OSError("it ended in the middle of an answer")
            answer += more
    value = json.loads(answer)
    if not isinstance(value, dict):
        raise ValueError("its answer is no object")
    return value


def _question(config: Mapping[str, Any], environment: Mapping[str, str], previous: Mapping[str, Any]) -> dict[str, Any]:
    arguments = dict(pair.partition("=")[::2] for pair in environment.get("CNI_ARGS", "").split(";") if pair)
    uid = arguments.get("K8S_POD_UID", "")
    if not uid:
        raise CniError(BAD_ENVIRONMENT, "CNI_ARGS has no K8S_POD_UID", "containerd 1.5 and CRI-O 1.20 give it")
    wait_for = config.get("waitFor", "plan")
    if wait_for not in ("plan", "posture"):
        raise CniError(BAD_CONFIG, f"waitFor is {wait_for!r}", 'expected "plan" or "posture"')
    return {
        "uid": uid,
        "namespace": arguments.get("K8S_POD_NAMESPACE", ""),
        "name": arguments.get("K8S_POD_NAME", ""),
        "addresses": [a.partition("/")[0] for a in _addresses(previous)],
        "planned": wait_for == "plan",
    }


def _addresses(previous: Mapping[str, Any]) -> list[str]:
    found = previous.get("ips", [])
    if not isinstance(found, list) or not all(isinstance(i, dict) and isinstance(i.get("address"), str) for i in found):
        raise CniError(NOT_JSON, "prevResult.ips is no list of addresses")
    return [i["address"] for i in found]


def _previous(config: Mapping[str, Any]) -> dict[str, Any]:
    previous = config.get("prevResult")
    if not isinstance(previous, dict):
        raise CniError(
            BAD_CONFIG, "there is no prevResult", f"{PLUGIN} comes after the plugin that makes the interface"
        )
    return previous


def _config(text: str) -> dict[str, Any]:
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CniError(NOT_JSON, "the configuration is not JSON", str(error)) from None
    if not isinstance(config, dict):
        raise CniError(NOT_JSON, "the configuration is no object")
    return config


def _print(out: IO[str], value: Mapping[str, Any]) -> None:
    out.write(json.dumps(value) + "\n")
    out.flush()


def _install(folder: Path) -> int:
    """A script of one line; `-I -S`: nothing but this file and the standard library, which is there soonest."""
    import contextlib
    import shlex
    from pathlib import Path

    words = [sys.executable, "-I", "-S", str(Path(__file__).resolve())]
    draft = folder / f".{PLUGIN}.{os.getpid()}"
    try:
        draft.write_text(f"#!/bin/sh\nexec {shlex.join(words)}\n")
        draft.chmod(0o755)
        draft.replace(folder / PLUGIN)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        print(f"eastwest cni: {error}", file=sys.stderr)
        return 1
    print(folder / PLUGIN)
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ, sys.stdin, sys.stdout))
