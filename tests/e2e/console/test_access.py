"""Without a mouse, and with a screen reader: the order of focus, where it goes, and what axe finds on the remaining pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from api.conftest import between, manifests, send
from api.running import RunningServer
from e2e.console.test_console import AXE

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("access")
    with RunningServer(folder, "--manifests", str(manifests(folder / "manifests"))) as server:
        send(server, 0, [between("10.0.0.1", "10.0.1.1", pod_uid="uid-ui-1")])
        yield server.url


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.textContent || document.activeElement.ariaLabel || ''")).strip()


def test_the_first_key_skips_to_the_content_and_focus_is_seen(page: Page, policed: str) -> None:
    page.goto(f"{policed}/map")
    page.get_by_role("list", name="Connections").wait_for()
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the content"
    link = page.get_by_role("link", name="Skip to the content")
    box = link.bounding_box()
    assert box is not None
    assert box["y"] >= 0  # out of sight until it has focus
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.tagName") == "MAIN"
    page.keyboard.press("Tab")
    expect(page.get_by_role("searchbox", name="Find in the map")).to_be_focused()
    page.goto(f"{policed}/flows")
    page.get_by_role("table", name="Flows").wait_for()
    for _ in range(3):
        page.keyboard.press("Tab")
    assert focused(page) == "Map"
    width = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert width == "2px"


def test_escape_from_within_a_panel_gives_focus_back(page: Page, policed: str) -> None:
    page.goto(f"{policed}/map")
    item = page.get_by_role("list", name="Connections").get_by_role("button").first
    item.focus()
    page.keyboard.press("Enter")
    panel = page.get_by_test_id("panel")
    panel.get_by_role("button", name="Close the panel").focus()
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    expect(item).to_be_focused()
    page.goto(f"{policed}/flows?view=all")
    row = page.get_by_role("button", name="Details of shop / ui").first
    row.focus()
    page.keyboard.press("Enter")
    panel.get_by_role("button", name="Close the panel").focus()
    page.keyboard.press("Enter")
    expect(panel).to_have_count(0)
    expect(row).to_be_focused()


def _serious(page: Page) -> list[tuple[str, str, str]]:
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'best-practice']})")
    assert len(found["passes"]) > 10
    known = ("serious", "critical")
    return [
        (v["id"], v["nodes"][0]["html"][:200], v["nodes"][0]["failureSummary"])
        for v in found["violations"]
        if v["impact"] in known
    ]


def _coverage(page: Page) -> None:
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Show the books").click()
    page.get_by_role("dialog").wait_for()


def _mode(page: Page) -> None:
    page.get_by_role("button", name="Change the mode of carts").click()
    page.get_by_role("dialog").wait_for()


def _keys(page: Page) -> None:
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keyboard").wait_for()


def _nothing(page: Page) -> None:
    page.locator("main[aria-busy=false]").wait_for()


@pytest.mark.parametrize(
    ("path", "then"),
    [
        ("/enforcement", _mode),
        ("/overview", _coverage),
        ("/map?level=namespace", _keys),
        ("/flows?filter=dst_port%3D9", _nothing),
        ("/policies", _nothing),
    ],
)
def test_nothing_serious_bars_anyone(page: Page, live: str, path: str, then: Callable[[Page], None]) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: make setup")
    page.goto(f"{live}{path}")
    page.get_by_role("main").wait_for()
    for theme in ("dark", "light"):
        page.get_by_role("button", name=f"Use the {theme} theme").click()
        then(page)
        assert _serious(page) == [], theme
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)


def test_each_page_has_a_title_a_main_part_and_named_controls(page: Page, live: str) -> None:
    for name in ("overview", "map", "flows", "policies", "enforcement"):
        page.goto(f"{live}/{name}")
        expect(page).to_have_title(f"{name.capitalize()} – eastwest")
        expect(page.get_by_role("main")).to_have_count(1)
        unnamed = page.locator("button:not([aria-label]):not([aria-labelledby])").filter(has_not_text="a").all()
        assert [
            button.evaluate("b => b.outerHTML.slice(0, 200)") for button in unnamed if not button.inner_text().strip()
        ] == []
