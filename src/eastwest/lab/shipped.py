"""The scenarios that ship with eastwest, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from eastwest.lab.state import LabError

SCENARIOS: Final = Path(__file__).parent / "scenarios"


def scenario_names() -> list[str]:
    """The scenarios that ship with eastwest."""
    return sorted(p.name for p in SCENARIOS.iterdir() if p.is_dir() and not p.name.startswith("_"))


def scenario_path(text: str | Path) -> Path:
    """A folder or file as given, else the shipped scenario of that name. Raises LabError."""
    path = Path(text)
    if path.exists():
        return path.resolve()
    if (SCENARIOS / path.name).is_dir() and path.name == str(text):
        return SCENARIOS / path.name
    raise LabError(f"no folder and no scenario {str(text)!r}; scenarios are {', '.join(scenario_names())}")
