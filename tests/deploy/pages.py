"""What deploy/grafana and deploy/alerts ask, as plain values."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent.parent
RULES = ROOT / "deploy" / "alerts" / "eastwest.yaml"


def load(path: Path) -> ModuleType:
    """A script of the repository as a module."""
    spec = importlib.util.spec_from_file_location(f"deploy_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def dashboards() -> dict[str, dict[str, Any]]:
    """File name -> Grafana's JSON, as committed."""
    return {path.name: json.loads(path.read_text()) for path in sorted((ROOT / "deploy" / "grafana").glob("*.json"))}


def panels() -> list[tuple[str, dict[str, Any]]]:
    """(dashboard / panel title, panel) of every panel that asks something."""
    return [
        (f"{page['uid']} / {panel['title']}", panel)
        for page in dashboards().values()
        for panel in page["panels"]
        if panel.get("targets")
    ]


def filled_in(expr: str) -> str:
    """A panel's question as Grafana would send it with everything chosen."""
    values = {
        "$__rate_interval": "8s", "$namespace": ".*", "$node": ".*",
    }  # fmt: skip
    for name, value in values.items():
        expr = expr.replace(name, value)
    assert "$" not in expr, expr
    return expr


def rules() -> list[dict[str, Any]]:
    """Every alerting rule."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
