"""Probing many targets from many origins at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from eastwest.lab.channel import CallError
from eastwest.lab.origin import Origin
from eastwest.lab.state import LabError
from eastwest.lab.targets import Targets

Json = dict[str, Any]


async def probe(
    cells: Sequence[Json], timeout: float, parallel: int, origins: Mapping[str, Origin], targets: Targets
) -> list[Json]:
    """Probe all cells, from everywhere at once; `{address, result}` in the order of `cells`. Raises LabError."""
    by_origin: dict[str, list[int]] = {}
    answers: list[Json] = []
    for index, cell in enumerate(cells):
        by_origin.setdefault(cell["from"], []).append(index)
        answers.append({"address": targets.address(cell["to"], cell["family"])})
    at_once = max(1, parallel // max(1, len(by_origin)))

    async def one(name: str, indexes: list[int]) -> None:
        origin = origins[name]
        asked = [(answers[i]["address"], cells[i]["port"], cells[i]["protocol"]) for i in indexes]
        deadline = 30 + timeout * (len(asked) / at_once + 1)
        try:
            results = await origin.process.call(
                "probe", deadline, cells=asked, timeout_s=timeout, parallel=at_once, source=origin.address
            )
        except CallError as error:
            raise LabError(str(error)) from error
        for i, result in zip(indexes, results, strict=True):
            answers[i]["result"] = result

    await asyncio.gather(*(one(name, indexes) for name, indexes in by_origin.items()))
    return answers
