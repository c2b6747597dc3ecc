"""`eastwest record`: save a window as an evidence bundle."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

import httpx
from rich.console import Console
from rich.progress import DownloadColumn, Progress, SpinnerColumn, TextColumn

from eastwest.cli._client import (
    ServerError,
    add_server_arguments,
    add_window_arguments,
    explain,
    open_client,
    print_json,
    unanswered,
    window_parameters,
)

EXAMPLES = """examples:
  eastwest record -o evidence/                     the last 15 minutes, as a folder
  eastwest record -o incident.zip --window 1h
  eastwest server --bundle evidence/               look at it later, anywhere
  eastwest policy replay --policies k8s/ --evidence evidence/
"""


def register(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    parser.add_argument("-o", "--output", required=True, metavar="DIR|FILE.zip", type=Path, help="where to write it")
    parser.add_argument("--force", action="store_true", help="replace what is there")
    add_window_arguments(parser)
    add_server_arguments(parser)


def _download(args: argparse.Namespace, target: Path) -> None:
    """Stream the bundle to `target`, with progress. Raises ServerError."""
    progress = Progress(
        SpinnerColumn(),
        TextColumn("recording"),
        DownloadColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    try:
        with (
            progress,
            open_client(args, timeout_s=300) as client,
            client.stream("GET", "/api/v1/bundle", params=window_parameters(args)) as response,
            target.open("wb") as file,
        ):
            if response.status_code != 200:
                response.read()
                raise explain(args, response)
            task = progress.add_task("", total=None)
            for chunk in response.iter_bytes():
                file.write(chunk)
                progress.advance(task, len(chunk))
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise unanswered(args, error) from error


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack our own server's archive into a new folder, then put it in place in one step."""
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        with zipfile.ZipFile(archive) as bundle:
            bundle.extractall(staging)
        staging.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def run(args: argparse.Namespace) -> int:
    output: Path = args.output
    occupied = output.exists() and (output.is_file() or any(output.iterdir()))
    if occupied and not args.force:
        print(f"eastwest: {output} exists; --force replaces it", file=sys.stderr)
        return 2
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".eastwest-record-", suffix=".zip", dir=output.parent)
    except OSError as error:
        print(f"eastwest: cannot write to {output.parent}: {error.strerror}", file=sys.stderr)
        return 2
    os.close(handle)
    archive = Path(name)
    try:
        _download(args, archive)
        if output.suffix == ".zip":
            archive.chmod(0o644)
            archive.replace(output)
        else:
            _unpack(archive, output)
    except ServerError as problem:
        print(f"eastwest: {problem}", file=sys.stderr)
        return 2
    finally:
        archive.unlink(missing_ok=True)
    if args.json:
        print_json({"output": str(output)})
    else:
        print(f"recorded to {output}")
    return 0
