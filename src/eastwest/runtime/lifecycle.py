"""Starting and stopping parts in order. A part is inert until started and may be stopped once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Protocol

log = logging.getLogger(__name__)


class Component(Protocol):
    """Config and dependencies come by the constructor, which does nothing else."""

    def start(self) -> None:
        """Return when it works; raise when it cannot."""

    def stop(self) -> None:
        """Return when nothing of it is left. Only called after a start that returned."""


class Running:
    """Components while they run: started in order, stopped in reverse, also when a start fails half-way."""

    def __init__(self, components: Iterable[Component], begin: Callable[[Component], None] = lambda _: None) -> None:
        """`begin` is told of each before it starts."""
        self._components = list(components)
        self._begin = begin
        self._started: list[Component] = []

    def __enter__(self) -> Running:
        try:
            for component in self._components:
                self._begin(component)
                component.start()
                self._started.append(component)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stop()

    def _stop(self) -> None:
        while self._started:
            component = self._started.pop()
            try:
                component.stop()
            except Exception:
                log.exception("stopping %s", type(component).__name__)
