"""What an operator chooses about enforcement. Light: read by every agent, also those that enforce nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

DEFAULT_RATE: Final = 100


@dataclass(frozen=True, slots=True)
class LogChoice:
    """`file`: a path, "-" for standard output, None for no log. `namespaces` empty: all. `rate`: lines a second."""

    file: str | None = None
    allowed: bool = False
    namespaces: frozenset[str] = frozenset()
    rate: int = DEFAULT_RATE


@dataclass(frozen=True, slots=True)
class EnforceConfig:
    """`state`: folder of the last plan. `cni_socket` None: the CNI plugin is not answered."""

    state: Path
    cni_socket: Path | None = None
    log: LogChoice = field(default_factory=LogChoice)
