"""Print the OpenAPI description: `python -m eastwest.api.openapi`. Starts no server and opens no store."""

from __future__ import annotations

import json
import sys

from eastwest.api.app import create_app


def main() -> int:
    """Write the description to standard output, keys sorted, so that generated types only change with the API."""
    json.dump(create_app().openapi(), sys.stdout, indent=2, sort_keys=True)
    sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
