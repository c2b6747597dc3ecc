"""Lint: policies that are valid and yet do not do what their author must have meant. Each finding has a fix.

What the API server itself would refuse is found by whoever parses. The checks are in `subjects`, `peers`,
`ports` and `shadow`; all look at one cluster: "matches nothing" means nothing of what is in it.
"""

from __future__ import annotations

from itertools import chain

from eastwest.policy.engine import Engine
from eastwest.policy.lint import peers, ports, shadow, subjects
from eastwest.policy.lint.findings import Finding

__all__ = ["Finding", "lint"]


def lint(engine: Engine) -> list[Finding]:
    """All findings, sorted by file, line and field."""
    checks = (subjects.check, peers.check, ports.check, shadow.check)
    found = chain.from_iterable(check(engine) for check in checks)
    return sorted(set(found), key=lambda f: (f.file or "", f.line, tuple(map(str, f.path)), f.code, f.message))
