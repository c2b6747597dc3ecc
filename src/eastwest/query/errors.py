"""What a person asked for that cannot be answered, with the parameter and the place in it."""

from __future__ import annotations


class ParameterError(ValueError):
    """A parameter is not usable. `position` and `end` are character offsets in its text, end exclusive."""

    def __init__(self, parameter: str, detail: str, position: int | None = None, end: int | None = None) -> None:
        super().__init__(f"{parameter}: {detail}")
        self.parameter = parameter
        self.detail = detail
        self.position = position
        self.end = end
