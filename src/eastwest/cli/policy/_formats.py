"""Reports of `policy verify` for machines: JUnit XML for test views, SARIF 2.1.0 for code scanning."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape, quoteattr

from eastwest import __version__
from eastwest.policy.verify.verify import Checked, Verification


def message(checked: Checked) -> str:
    return "; ".join((*checked.unknown, *checked.problems))


def junit(result: Verification, file: str) -> str:
    """One test case per intent."""
    failures = sum(not c.ok for c in result.checked)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites><testsuite name="eastwest intent" tests="{len(result.checked)}" failures="{failures}">',
    ]
    for c in result.checked:
        head = f"  <testcase classname={quoteattr(file)} name={quoteattr(c.intent.name)}"
        if c.ok:
            lines.append(f"{head}/>")
        else:
            lines.append(f"{head}><failure message={quoteattr(message(c))}>{escape(message(c))}</failure></testcase>")
    return "\n".join([*lines, "</testsuite></testsuites>", ""])


def sarif(result: Verification, file: str) -> dict[str, Any]:
    """One result per broken intent, at its line."""
    return {
        "version": "2.1.0",
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "eastwest",
                        "version": __version__,
                        "rules": [
                            {"id": "intent", "shortDescription": {"text": "Network policies keep the declared intent"}}
                        ],
                    }
                },
                "results": [
                    {
                        "ruleId": "intent",
                        "level": "error",
                        "message": {"text": f"{c.intent.text}: {message(c)}"},
                        "locations": [
                            {
                                "physicalLocation": {
                                    "artifactLocation": {"uri": file},
                                    "region": {"startLine": max(1, c.intent.line)},
                                }
                            }
                        ],
                    }
                    for c in result.checked
                    if not c.ok
                ],
            }
        ],
    }
