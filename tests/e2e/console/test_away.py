"""A server without data, one that goes away and comes back, and one that changes its token, while the page stays open."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from api.conftest import between, manifests, send
from api.running import RunningServer

pytestmark = pytest.mark.browser


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[RunningServer]:
    """A server that no agent ever told anything."""
    with RunningServer(tmp_path / "server", "--manifests", str(manifests(tmp_path / "manifests"))) as server:
        yield server


def test_no_data_yet_then_away_then_back(page: Page, empty: RunningServer, forgiven: list[str]) -> None:
    """One page all along: what to do while nobody reports; since when nobody answers; then what came meanwhile."""
    forgiven += [
        "ERR_CONNECTION_REFUSED",
        "ERR_CONTENT_LENGTH_MISMATCH",  # a file that was on its way
        "ERR_INCOMPLETE_CHUNKED_ENCODING",
        "ERR_EMPTY_RESPONSE",
        "ERR_CONNECTION_RESET",
        "503",
    ]
    with page.expect_response(re.compile("/assets/overview-view.*js$")):  # fetched ahead of time
        page.goto(f"{empty.url}/map")
    hint = page.get_by_test_id("empty")
    expect(hint).to_contain_text("No agents are reporting")
    expect(hint).to_contain_text("eastwest agent --cluster NAME --node NODE --server URL")
    live = page.get_by_test_id("live")
    expect(live).to_have_text("Live")
    empty.kill()
    expect(live).to_have_text(re.compile(r"^No answer since \d\d:\d\d:\d\d UTC; trying again$"))
    page.keyboard.press("g")
    page.keyboard.press("o")
    expect(page.get_by_text("The server does not answer.")).to_be_visible()
    empty.start()
    send(empty, 0, [between("10.0.0.1", "10.0.1.1", pod_uid="uid-ui-1")])
    expect(live).to_have_text("Live", timeout=60_000)
    expect(page.get_by_role("region", name="Top talkers").get_by_role("listitem")).not_to_have_count(0, timeout=60_000)
    expect(page.get_by_text("The server does not answer.")).to_have_count(0)


def test_a_page_that_cannot_be_fetched_is_tried_again(page: Page, policed: str, forgiven: list[str]) -> None:
    forgiven += ["ERR_FAILED"]
    page.route("**/assets/overview-view*", lambda route: route.abort())
    page.goto(f"{policed}/map")
    page.get_by_role("list", name="Connections").wait_for()
    page.keyboard.press("g")
    page.keyboard.press("o")
    expect(page).to_have_url(re.compile("/overview"))
    expect(page.get_by_role("navigation", name="Pages")).to_be_visible()  # the frame stays
    expect(page.get_by_role("region", name="Top talkers")).to_have_count(0)
    page.unroute("**/assets/overview-view*")
    expect(page.get_by_role("region", name="Top talkers")).to_be_visible()


def test_a_token_that_is_no_longer_taken(page: Page, tmp_path: Path, forgiven: list[str]) -> None:
    forgiven += [
        "401",
        "403",
        "ERR_CONNECTION_REFUSED",
        "ERR_CONTENT_LENGTH_MISMATCH",  # a file that was on its way
        "ERR_INCOMPLETE_CHUNKED_ENCODING",
        "ERR_EMPTY_RESPONSE",
        "ERR_CONNECTION_RESET",
        "503",
    ]
    token = tmp_path / "token"
    with RunningServer(tmp_path / "server", "--token-file", str(token)) as server:
        page.goto(f"{server.url}/overview")
        dialog = page.get_by_role("dialog", name="This server asks for its token")
        dialog.get_by_label("Token", exact=True).fill("wrong")
        page.keyboard.press("Enter")
        expect(dialog).to_contain_text("token")
        expect(dialog.get_by_label("Token", exact=True)).to_have_attribute("aria-invalid", "true")
        dialog.get_by_label("Token", exact=True).fill(token.read_text().strip())
        page.keyboard.press("Enter")
        expect(dialog).to_have_count(0)
        expect(page.get_by_test_id("empty")).to_be_visible()
        server.stop()
        token.write_text("another-token-of-the-same-server-0123456789\n")
        server.start()
        expect(dialog).to_contain_text("its token was changed", timeout=60_000)
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        page.keyboard.press("g")
        page.keyboard.press("f")  # asks anew, is refused again, and does not ask the person again
        expect(page.get_by_text("Sign in with the server's token")).to_be_visible()
        expect(dialog).to_have_count(0)
        page.get_by_role("button", name="Sign in").click()
        dialog.get_by_label("Token", exact=True).fill("another-token-of-the-same-server-0123456789")
        page.keyboard.press("Enter")
        expect(dialog).to_have_count(0)
        expect(page.get_by_text("Sign in with the server's token")).to_have_count(0)


def test_a_stream_that_a_proxy_refused_is_asked_for_again(
    page: Page, serve: Callable[[str], str], forgiven: list[str]
) -> None:
    forgiven += ["502"]
    page.route("**/api/v1/events", lambda route: route.fulfill(status=502))
    page.goto(f"{serve('shop')}/map")
    live = page.get_by_test_id("live")
    expect(live).to_have_text("Connecting …")
    page.unroute("**/api/v1/events")
    expect(live).to_have_text("Live")
