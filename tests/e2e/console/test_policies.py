"""The policies page in a real browser: what was learnt, what would break, and the folder to take away."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, urlparse

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

Shoot = Callable[[Page, str], None]
AXE = Path(__file__).parents[3] / "web" / "node_modules" / "axe-core" / "axe.min.js"
NO_NOISE = "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa']})"


def query(page: Page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlparse(page.url).query).items()}


def test_workloads_their_state_and_both_policies(page: Page, locked: str, shoot: Shoot) -> None:
    page.goto(f"{locked}/map")
    expect(page.get_by_test_id("canvas")).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("p")
    expect(page.get_by_test_id("replay")).to_contain_text(re.compile(r"None of \d+ recorded flows .* would be denied"))
    expect(page.get_by_test_id("replay")).to_contain_text("eastwest policy generate --window 15m -o policies/")
    shoot(page, "policies-overview")
    page.get_by_role("navigation", name="Workloads").get_by_role("button", name=re.compile("^orders")).click()
    body = page.get_by_test_id("policy-body")
    expect(body.get_by_label("YAML of shop/only-ui")).to_contain_text("port: 9999")
    expect(body.get_by_label("YAML of shop/orders")).to_contain_text("port: 8080")
    assert query(page)["workload"] == "shop/Deployment/orders"
    shoot(page, "policies-light")
    page.get_by_role("tab", name=re.compile("^Changes")).click()
    expect(body.get_by_role("list", name="What changes")).to_contain_text("adds ui → orders TCP 8080")
    expect(body.get_by_role("list", name="What changes")).to_contain_text("removes db → orders TCP 9999")
    assert query(page)["tab"] == "changes"
    page.get_by_role("tab", name=re.compile("^Evidence")).click()
    row = body.get_by_role("row", name=re.compile(r"ingress shop.ui.Deployment. TCP 8080"))
    expect(row).to_contain_text("00:00:10")
    page.reload()
    expect(row).to_be_visible()
    page.get_by_role("tab", name="Not observed").click()
    expect(body).to_contain_text("None of its pods started in this range")
    page.keyboard.press("Escape")
    expect(body.get_by_role("heading", name="Overview")).to_be_visible()


def test_the_folder_is_downloaded(page: Page, locked: str) -> None:
    page.goto(f"{locked}/policies?ns=shop")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert set(archive.namelist()) >= {"shop/kustomization.yaml", "shop/default-deny.yaml", "shop/orders.yaml"}


def test_the_map_shows_what_would_break(page: Page, locked: str, shoot: Shoot) -> None:
    page.goto(f"{locked}/map")
    page.get_by_role("button", name="Current", exact=True).click()
    note = page.get_by_test_id("policy-note")
    expect(note).to_contain_text(re.compile(r"With the policies in force, 1 of \d+ recorded edges would be denied"))
    note.get_by_text("Unused permissions").click()
    expect(note).to_contain_text("shop/only-ui ingress rule 0: no recorded connection used it")
    edge = page.get_by_role("list", name="Connections").get_by_role("button", name=re.compile("✕ denied"))
    edge.click()
    panel = page.get_by_test_id("panel")
    expect(panel).to_contain_text("✕ These policies would deny it")
    expect(panel).to_contain_text("isolated by NetworkPolicy shop/only-ui")
    expect(panel.locator("pre")).to_contain_text("kind: NetworkPolicy")
    assert query(page)["policy"] == "current"
    shoot(page, "map-denied")
    page.emulate_media(color_scheme="dark")
    page.get_by_role("button", name="Generated", exact=True).click()
    expect(panel).to_contain_text("✓ These policies allow it")
    expect(note).to_contain_text("With the generated policies, 0 of")


def test_a_phone_can_read_it(page: Page, locked: str) -> None:
    page.set_viewport_size({"width": 420, "height": 900})
    for tab in ("yaml", "evidence"):
        page.goto(f"{locked}/policies?workload=shop/Deployment/orders&tab={tab}")
        expect(page.get_by_role("tabpanel").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 420


def test_an_empty_range_says_why(page: Page, locked: str) -> None:
    page.goto(f"{locked}/policies?ns=nowhere")
    expect(page.get_by_test_id("empty")).to_contain_text("No policies in namespace nowhere")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("tab", ["yaml", "changes", "evidence"])
def test_nothing_serious_bars_anyone(
    page: Page, locked: str, shoot: Shoot, tab: str, theme: Literal["light", "dark"]
) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: make setup")
    page.emulate_media(color_scheme=theme)
    page.goto(f"{locked}/policies?workload=shop/Deployment/orders&tab={tab}")
    expect(page.get_by_role("tabpanel").first).to_be_visible()
    shoot(page, f"policies-{tab}-{theme}")
    page.evaluate(AXE.read_text())
    found = page.evaluate(NO_NOISE)
    serious = [v for v in found["violations"] if v["impact"] in ("serious", "critical")]
    assert [(v["id"], v["nodes"][0]["html"][:200], v["nodes"][0]["failureSummary"]) for v in serious] == []
