"""The process that is a container: it enters its pod's namespaces and its own cgroup, then runs its program.

With a command, that is an ordinary program from the host's file system; without one, `workload.app`.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from eastwest.lab import cgroups, kernel
from eastwest.lab.workload import app

Json = dict[str, Any]


def main_container(spec: Json, channel: socket.socket | None) -> None:
    """`spec`: sandbox_pid, cgroup, log, name, env; and argv with cwd, or app (see `workload.app.run`)."""
    cgroups.join(Path(spec["cgroup"]))
    enter(spec["sandbox_pid"])
    log = os.open(spec["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    null = os.open("/dev/null", os.O_RDONLY)
    for ours, theirs in ((null, 0), (log, 1), (log, 2)):
        os.dup2(ours, theirs)
    os.environ.update(spec["env"])
    if "app" in spec:
        kernel.set_process_name(spec["name"])
        sys.exit(app.run(spec["app"], channel))
    os.closerange(3, 4096)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if spec.get("cwd"):
        os.chdir(spec["cwd"])
    try:
        os.execvp(spec["argv"][0], spec["argv"])  # noqa: S606 - a container's own command
    except OSError as error:
        print(f"{spec['argv'][0]}: {error.strerror}", file=sys.stderr, flush=True)
        sys.exit(127)


def enter(pid: int) -> None:
    """Join the namespaces of a pod's or node's process. Raises OSError."""
    for kind, flag in (("net", kernel.CLONE_NEWNET), ("uts", kernel.CLONE_NEWUTS), ("mnt", kernel.CLONE_NEWNS)):
        kernel.setns(f"/proc/{pid}/ns/{kind}", flag)
