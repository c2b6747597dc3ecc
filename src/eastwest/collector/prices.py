"""Where a price table comes from: the example in this package, or the user's own file."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from eastwest.model.prices import PriceTable, PriceTableError, parse


def shipped() -> PriceTable:
    """The example table of this package."""
    return parse(files("eastwest.collector").joinpath("prices.json").read_text())


def read(path: Path) -> PriceTable:
    """Raises PriceTableError (the text names file and field), OSError."""
    try:
        return parse(path.read_text())
    except UnicodeDecodeError as error:
        raise PriceTableError(f"{path}: not text: {error}") from None
    except PriceTableError as error:
        raise PriceTableError(f"{path}: {error}") from None
