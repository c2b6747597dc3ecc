"""The built web console: files as they are, index.html for every other page address, a clear page when not built."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fastapi import FastAPI
from fastapi.responses import FileResponse, HTMLResponse, Response
from starlette.exceptions import HTTPException

FOLDER: Final = Path(__file__).parent / "console"
NOT_BUILT: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>eastwest</title>
<h1>The server runs; its web console is not built.</h1>
<p>In a checkout: <code>make web</code>. The API answers at <a href="/api/v1/service-map">/api/v1/service-map</a>,
described at <a href="/api/v1/openapi.json">/api/v1/openapi.json</a>; in a terminal: <code>eastwest map</code>.</p></html>
"""
_NOT_PAGES: Final = ("api/", "ingest/", "healthz", "livez", "metrics", "assets/")
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
        "frame-ancestors 'none'; base-uri 'self'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def add_console(app: FastAPI, folder: Path = FOLDER) -> None:
    """Serve everything that no other route of `app` does. Call it last."""

    @app.get("/{path:path}", include_in_schema=False)
    def console(path: str) -> Response:
        file = (folder / path).resolve()
        if path and file.is_relative_to(folder.resolve()) and file.is_file():
            # Vite names assets by their content, so they never change.
            caching = "public, max-age=31536000, immutable" if path.startswith("assets/") else "no-cache"
            return FileResponse(file, headers={**_HEADERS, "Cache-Control": caching})
        if path.startswith(_NOT_PAGES) or "." in path.rsplit("/", 1)[-1]:
            raise HTTPException(404, f"nothing at /{path}")
        index = folder / "index.html"
        if not index.is_file():
            return HTMLResponse(NOT_BUILT, 200)
        return FileResponse(index, headers={**_HEADERS, "Cache-Control": "no-cache"})
