"""A browser and something to look at: a real server over a recorded bundle where there is one, else the stub's shop."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from e2e.console.locked_shop import record, ruled
from eastwest.api.console import FOLDER

expect.set_options(timeout=20_000)  # patient: the lab's tests may run on the same two cores
HERE = Path(__file__).parent
RECORDING = Path(os.environ.get("EASTWEST_TEST_BUNDLE") or FOLDER.parents[1] / "lab" / "recordings" / "demo.zip")
SHOTS = HERE.parents[2] / "test-results"
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine: the Debian package is called chromium")
    if not (FOLDER / "index.html").is_file():
        pytest.skip("the web console is not built: make web")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, headless=True, args=list(FLAGS))
        yield running
        running.close()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, f"{process.args} ended with {process.returncode}"
        try:
            with urllib.request.urlopen(f"{url}/api/v1/coverage", timeout=5):
                return
        except urllib.error.HTTPError as refused:
            if refused.code != 503:  # it is loading
                return
            time.sleep(0.1)
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(f"{url} did not answer in time")


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[[str], str]]:
    """The base URL of the stub in one of its variants; each is started once."""
    running: dict[str, tuple[str, subprocess.Popen[bytes]]] = {}

    def start(variant: str) -> str:
        if variant not in running:
            port = _free_port()
            process = subprocess.Popen([sys.executable, str(HERE / "stub.py"), str(port), variant])
            running[variant] = (f"http://127.0.0.1:{port}", process)
            _wait(running[variant][0], process)
        return running[variant][0]

    yield start
    for _, process in running.values():
        process.terminate()
        process.wait(timeout=10)


@contextmanager
def _playing(bundle: Path, data: Path) -> Iterator[str]:
    """The base URL of a real server that plays a bundle."""
    port = _free_port()
    listen = ["--listen", f"127.0.0.1:{port}", "--data", str(data), "--log-level", "warning"]
    process = subprocess.Popen([sys.executable, "-m", "eastwest", "server", "--bundle", str(bundle), *listen])
    _wait(f"http://127.0.0.1:{port}", process)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(timeout=20)


@pytest.fixture(scope="session")
def shop(serve: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a console over the retail store's traffic: a real server playing the recording that ships."""
    if not RECORDING.exists():
        yield serve("shop")
        return
    with _playing(RECORDING, tmp_path_factory.mktemp("data")) as url:
        yield url


@pytest.fixture(scope="session")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a console over a recording where a policy in force denies what is used."""
    folder = tmp_path_factory.mktemp("locked")
    with _playing(record(folder / "locked.zip"), folder / "data") as url:
        yield url


@pytest.fixture(scope="session")
def policed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a console over a recording with verdicts."""
    folder = tmp_path_factory.mktemp("policed")
    with _playing(ruled(folder / "ruled.zip"), folder / "data") as url:
        yield url


@pytest.fixture
def forgiven() -> list[str]:
    """Parts of the browser's complaints that a test provokes on purpose."""
    return []


@pytest.fixture
def page(browser: Browser, forgiven: list[str]) -> Iterator[Page]:
    """A fresh, light, 1440x900 page; a script error or a warning on the browser's console fails the test."""
    context = browser.new_context(
        viewport={"width": 1440, "height": 900}, color_scheme="light", accept_downloads=True, reduced_motion="reduce"
    )
    opened = context.new_page()
    opened.set_default_timeout(30_000)
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
    yield opened
    context.close()
    assert [said for said in complaints if not any(part in said for part in forgiven)] == []


@pytest.fixture
def shoot() -> Callable[[Page, str], None]:
    """Save a screenshot for people to look at."""

    def save(shown: Page, name: str) -> None:
        SHOTS.mkdir(exist_ok=True)
        shown.screenshot(path=SHOTS / f"console-{name}.png")

    return save
